// Where a storage repository is to lie, as a client asks for it: which type, which folder, and
// whether the folder may be taken. Makes nothing.

import type { StringMap } from '../../catalog/schema.ts'
import { AppError } from '../../errors.ts'
import type { FormatName } from '../../format-table.ts'
import type { FolderRequest } from '../../store/files/check-folder.ts'
import { requireFreeFolder } from '../../store/files/check-folder.ts'
import type { OperationContext } from '../context.ts'
import { preferredFormat, readFlag } from './device-config.ts'

/** Where somebody wants a storage repository. */
export interface AskedPlace {
  readonly type: string
  /** `location`, `read-only`, `preferred-image-formats`; other keys are kept and mean nothing. */
  readonly deviceConfig: StringMap
  /** Whether the user may name any folder, and not only those in `srRoots`. */
  readonly mayNameAny: boolean
}

/** Where a storage repository lies, and how. */
interface Place {
  /** Empty: in the data folder. */
  readonly path: string
  readonly readOnly: boolean
  readonly defaultFormat: FormatName
}

/**
 * @param own the uuid of the storage repository that asks: its own folder is not taken
 * @throws AppError SR_UNKNOWN_DRIVER; VALUE_NOT_SUPPORTED [device_config:location, path, reason];
 *   INVALID_VALUE for another key of `deviceConfig`
 */
export const choosePlace = async (
  context: OperationContext,
  asked: AskedPlace,
  own?: string,
): Promise<Place> => {
  const { catalog, dataFolder } = context
  const { type, deviceConfig } = asked
  const formats = await requireSrType(context, type)
  const readOnly = readFlag(deviceConfig, 'read-only')
  const defaultFormat = preferredFormat(deviceConfig, formats)
  const location = deviceConfig['location'] ?? ''
  if (location === '') {
    if (!readOnly) return { path: '', readOnly, defaultFormat }
    const reason = 'a read-only storage repository needs a location: its own folder would be empty'
    throw new AppError('VALUE_NOT_SUPPORTED', ['device_config:read-only', 'true', reason])
  }
  const taken = [
    { path: dataFolder, name: 'the data folder of this server' },
    ...(await catalog.srs.list())
      .filter((sr) => sr.path !== '' && sr.uuid !== own)
      .map((sr) => ({ path: sr.path, name: `the folder of the storage repository ${sr.uuid}` })),
  ]
  const roots = rootsOf(context, asked)
  const path = await requireFreeFolder({ location, readOnly, taken, roots })
  return { path, readOnly, defaultFormat }
}

/**
 * @returns the formats that storage repositories of the type hold, the best first
 * @throws AppError SR_UNKNOWN_DRIVER
 */
export const requireSrType = async (
  { catalog }: Pick<OperationContext, 'catalog'>,
  type: string,
): Promise<readonly FormatName[]> => {
  const sm = (await catalog.sms.list()).find((sm) => sm.type === type)
  if (sm === undefined) throw new AppError('SR_UNKNOWN_DRIVER', [type.slice(0, 64)])
  return sm.supportedImageFormats
}

/** The folders that the client may name. */
export const rootsOf = (
  { srRoots }: Pick<OperationContext, 'srRoots'>,
  { mayNameAny }: Pick<AskedPlace, 'mayNameAny'>,
): FolderRequest['roots'] => (mayNameAny ? 'anywhere' : srRoots)
