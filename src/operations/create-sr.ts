// The use case of SR.create: a storage repository on a folder that is there, or on one of its own
// in the data folder, which is scanned and can be used at once.

import { randomUUID } from 'node:crypto'
import type { StringMap } from '../catalog/schema.ts'
import { makeSrStore } from '../store/files/sr-store.ts'
import type { OperationContext } from './context.ts'
import type { AskedPlace } from './sr/choose-place.ts'
import { choosePlace } from './sr/choose-place.ts'
import { removeOwnFolders } from './sr/own-folders.ts'
import { tellOfPbd } from './sr/pbds.ts'
import { requireHost } from './sr/require-host.ts'
import { scanFiles } from './sr/scan-files.ts'

export interface NewSr extends AskedPlace {
  readonly hostUuid: string
  readonly nameLabel: string
  readonly nameDescription: string
  readonly contentType: string
  readonly shared: boolean
  readonly smConfig: StringMap
}

/**
 * @returns its uuid
 * @throws AppError HANDLE_INVALID for the host; SR_UNKNOWN_DRIVER; VALUE_NOT_SUPPORTED
 *   [device_config:location, path, reason]; INVALID_VALUE for another key of `deviceConfig`
 */
export const createSr = async (context: OperationContext, asked: NewSr): Promise<string> => {
  await requireHost(context, asked.hostUuid)
  return context.oneSrAtATime(() => create(context, asked))
}

const create = async (context: OperationContext, asked: NewSr): Promise<string> => {
  const { catalog, storage, dataFolder } = context
  const place = { uuid: randomUUID(), ...(await choosePlace(context, asked)) }
  const { mayNameAny: _mayNameAny, hostUuid: _hostUuid, ...fields } = asked
  // The store is there before anybody can see the row.
  storage.stores.attach(place.uuid, await makeSrStore(place, dataFolder))
  try {
    const sr = await catalog.srs.create({ ...fields, ...place, tags: [] })
    await scanFiles(context, sr)
    tellOfPbd(context, sr.uuid, 'add')
    return sr.uuid
  } catch (error) {
    if ((await catalog.srs.get(place.uuid)) !== undefined) await catalog.forget.sr(place.uuid)
    storage.stores.detach(place.uuid)
    await removeOwnFolders(context, place)
    throw error
  }
}
