// The use case of SR.probe: the storage repositories in a folder and right below it, by what the
// catalog knows and by their names. Changes nothing.

import { join } from 'node:path'
import { refToUuid } from '../refs.ts'
import { requireFreeFolder } from '../store/files/check-folder.ts'
import type { OperationContext } from './context.ts'
import type { AskedPlace } from './sr/choose-place.ts'
import { requireSrType, rootsOf } from './sr/choose-place.ts'
import { namesIn } from './sr/names-in.ts'
import { requireHost } from './sr/require-host.ts'

interface ProbeRequest extends AskedPlace {
  readonly hostUuid: string
}

/** A folder that holds, or once held, a storage repository. */
export interface FoundSr {
  readonly uuid: string
  readonly location: string
}

/**
 * @throws AppError HANDLE_INVALID for the host; SR_UNKNOWN_DRIVER; VALUE_NOT_SUPPORTED for the
 *   folder
 */
export const probeSr = async (
  context: OperationContext,
  asked: ProbeRequest,
): Promise<readonly FoundSr[]> => {
  await requireHost(context, asked.hostUuid)
  await requireSrType(context, asked.type)
  const location = asked.deviceConfig['location'] ?? ''
  const roots = rootsOf(context, asked)
  const folder = await requireFreeFolder({ location, readOnly: true, taken: [], roots })
  const known = (await context.catalog.srs.list()).find(({ path }) => path === folder)
  const own = known?.uuid ?? uuidOf(folder.slice(folder.lastIndexOf('/') + 1))
  const below = (await namesIn(folder, 'folders')).flatMap((name) => {
    const uuid = uuidOf(name)
    return uuid === undefined ? [] : [{ uuid, location: join(folder, name) }]
  })
  return own === undefined ? below : [{ uuid: own, location: folder }, ...below]
}

const uuidOf = (name: string): string | undefined => refToUuid(name.toLowerCase())
