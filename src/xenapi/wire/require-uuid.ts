// How clients name objects: by reference or by bare uuid, in calls and in the query of a transfer.

import { refToUuid } from '../../refs.ts'
import { AppError } from '../../errors.ts'
import { handleInvalid } from '../../object-errors.ts'

/**
 * The uuid that `text` names.
 * @throws AppError HANDLE_INVALID [className, text] for the null reference and any other text
 */
export const requireUuid = (className: string, text: string): string => {
  const uuid = refToUuid(text)
  if (uuid === undefined) throw new AppError('HANDLE_INVALID', [className, text.slice(0, 64)])
  return uuid
}

/**
 * The uuid that a client has chosen for a new object.
 * @throws AppError INVALID_VALUE [uuid, text] if it is not a uuid
 */
export const requireChosenUuid = (text: string): string => {
  const uuid = refToUuid(text)
  if (uuid === undefined) throw new AppError('INVALID_VALUE', ['uuid', text.slice(0, 64)])
  return uuid
}

/**
 * The object that was looked up by `uuid`.
 * @throws AppError HANDLE_INVALID [className, ref] where there is none
 */
export const requireObject = <T>(className: string, uuid: string, object: T | undefined): T => {
  if (object === undefined) throw handleInvalid(className, uuid)
  return object
}
