// What keeps a storage repository from being used: its folder is away, or nothing may be written there.

import { toRef } from '../../catalog/refs.ts'
import { AppError } from '../../errors.ts'

/** For whatever would write into a storage repository that is read-only. */
export const readOnlyError = (srUuid: string): AppError =>
  new AppError('SR_OPERATION_NOT_SUPPORTED', [toRef(srUuid)], {
    message: `The storage repository ${srUuid} is read-only: nothing is written or deleted there`,
  })

/** Why a storage repository is not attached, though its folder may be there. */
export const noPbd = 'it has no PBD: pbd-create says where it lies'
export const unplugged = 'its PBD is not plugged: pbd-plug attaches it'

/** @param reason why its folder cannot be used */
export const notAttached = (srUuid: string, reason: string, cause?: unknown): AppError =>
  new AppError('SR_NOT_ATTACHED', [toRef(srUuid)], {
    message: `The storage repository ${srUuid} is not attached: ${reason}${nextStep(reason)}`,
    cause,
  })

const nextStep = (reason: string): string =>
  reason === noPbd || reason === unplugged ? '' : '; sr-scan tries again'
