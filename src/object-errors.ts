// The errors that XenAPI has for VDIs and storage repositories. Their first parameters are
// references, as in XenServer; their messages, for people, name the uuids. No other file makes
// these errors.

import { AppError } from './errors.ts'
import { NULL_REF, toRef } from './refs.ts'

/** For a name of an object of `className` that leads to none. */
export const handleInvalid = (className: string, uuid: string): AppError =>
  new AppError('HANDLE_INVALID', [className, toRef(uuid)])

/** @param found what else goes on there; default: the sentence that XenAPI has */
export const otherOperation = (
  className: 'VDI' | 'SR' | 'VM' | 'task',
  uuid: string,
  found?: string,
): AppError =>
  new AppError(
    'OTHER_OPERATION_IN_PROGRESS',
    [className, toRef(uuid)],
    found === undefined ? {} : { message: found },
  )

/** @param user the reference of the task that has it, or words */
export const vdiInUse = (uuid: string, user: string): AppError =>
  new AppError('VDI_IN_USE', [toRef(uuid), user])

export const vdiReadOnly = (uuid: string): AppError =>
  new AppError('VDI_READONLY', [toRef(uuid)], { message: `The VDI ${uuid} is read-only` })

/**
 * @param uuid undefined: there is no VDI yet
 * @param maximum in bytes
 */
export const vdiTooLarge = (
  uuid: string | undefined,
  maximum: number,
  message?: string,
): AppError =>
  new AppError(
    'VDI_TOO_LARGE',
    [uuid === undefined ? NULL_REF : toRef(uuid), String(maximum)],
    message === undefined ? {} : { message },
  )

/** @param needed in bytes */
export const vdiTooSmall = (uuid: string, needed: number, message: string): AppError =>
  new AppError('VDI_TOO_SMALL', [toRef(uuid), String(needed)], { message })

export const vdiIncompatibleType = (uuid: string, type: string, message: string): AppError =>
  new AppError('VDI_INCOMPATIBLE_TYPE', [toRef(uuid), type], { message })

/** As XenServer words it, for a storage repository that does not hold a format. */
export const formatNotSupported = (name: string, srUuid: string): AppError =>
  new AppError('VDI_INCOMPATIBLE_TYPE', [
    toRef(srUuid),
    `Image format ${name.slice(0, 64)} is not supported by ${srUuid}`,
  ])

export const srNotEmpty = (uuid: string): AppError => new AppError('SR_NOT_EMPTY', [toRef(uuid)])

/** For whatever would write into a storage repository that is read-only. */
export const srReadOnly = (uuid: string): AppError =>
  new AppError('SR_OPERATION_NOT_SUPPORTED', [toRef(uuid)], {
    message: `The storage repository ${uuid} is read-only: nothing is written or deleted there`,
  })

/** Why a storage repository is not attached, though its folder may be there. */
export const noPbd = 'it has no PBD: pbd-create says where it lies'
export const unplugged = 'its PBD is not plugged: pbd-plug attaches it'

/** @param reason why its folder cannot be used */
export const srNotAttached = (uuid: string, reason: string, cause?: unknown): AppError =>
  new AppError('SR_NOT_ATTACHED', [toRef(uuid)], {
    message: `The storage repository ${uuid} is not attached: ${reason}${nextStep(reason)}`,
    cause,
  })

const nextStep = (reason: string): string =>
  reason === noPbd || reason === unplugged ? '' : '; sr-scan tries again'

/** For a VM that a move would bring a second time. */
export const duplicateVm = (uuid: string): AppError =>
  new AppError('DUPLICATE_VM', [toRef(uuid)], {
    message: `There is a VM ${uuid} at the destination already`,
  })

/** For a position that another disk or interface of the VM has, or one more where all are taken. */
export const deviceExists = (device: string): AppError =>
  new AppError('DEVICE_ALREADY_EXISTS', [device])

/** As XenServer says it of a VM that would have to run. */
export const vmIsHalted = (uuid: string, expected: string): AppError =>
  new AppError('VM_BAD_POWER_STATE', [toRef(uuid), expected, 'halted'], {
    message: `The VM ${uuid} is halted, it would have to be ${expected}; no VM runs here`,
  })
