// The use case of PBD.create: says where an introduced storage repository lies, or where one whose
// PBD was destroyed lies now. It stays unplugged.

import { join } from 'node:path'
import { layerFileName } from '../catalog/layers/layer-file-name.ts'
import { toRef } from '../refs.ts'
import type { StringMap } from '../catalog/schema.ts'
import type { SrRow } from '../catalog/srs.ts'
import { AppError } from '../errors.ts'
import { makeSrStore } from '../store/files/sr-store.ts'
import { findSr } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'
import type { AskedPlace } from './sr/choose-place.ts'
import { choosePlace } from './sr/choose-place.ts'
import { namesIn } from './sr/names-in.ts'
import { reattach } from './sr/open-store.ts'
import { pbdUuid, tellOfPbd } from './sr/pbds.ts'
import { requireHost } from './sr/require-host.ts'

interface NewPbd extends Omit<AskedPlace, 'type'> {
  readonly hostUuid: string
  readonly srUuid: string
  readonly otherConfig: StringMap
}

/**
 * @returns its uuid
 * @throws AppError HANDLE_INVALID; PBD_EXISTS; as `createSr` for the folder; VALUE_NOT_SUPPORTED
 *   for a folder that has none of the files which the storage repository is known to have
 */
export const createPbd = async (context: OperationContext, asked: NewPbd): Promise<string> => {
  await requireHost(context, asked.hostUuid)
  return context.oneSrAtATime(() => create(context, asked))
}

const create = async (context: OperationContext, asked: NewPbd): Promise<string> => {
  const { catalog, dataFolder } = context
  const { hostUuid, srUuid, deviceConfig, otherConfig: pbdOtherConfig } = asked
  const sr = await findSr(context, srUuid)
  const uuid = pbdUuid(hostUuid, srUuid)
  if (sr.hasPbd) throw new AppError('PBD_EXISTS', [srUuid, hostUuid, uuid].map(toRef))
  const place = await choosePlace(context, { ...asked, type: sr.type }, srUuid)
  await requireSameFiles(context, sr, place.path)
  await makeSrStore({ uuid: srUuid, ...place }, dataFolder)
  const change = { ...place, deviceConfig, pbdOtherConfig, hasPbd: true, isPlugged: false }
  await catalog.srs.update(srUuid, () => change)
  await reattach(context, srUuid)
  tellOfPbd(context, srUuid, 'add')
  return uuid
}

/** Another folder is the same storage repository, moved, if any file of it is there. */
const requireSameFiles = async (
  { catalog, dataFolder }: OperationContext,
  sr: SrRow,
  path: string,
): Promise<void> => {
  if (path === sr.path) return
  const files = (await catalog.layers.list(sr.uuid)).map(layerFileName)
  if (files.length === 0) return
  const folder = path === '' ? join(dataFolder, 'sr', sr.uuid) : path
  const present = new Set(await namesIn(folder, 'all'))
  if (files.some((name) => present.has(name))) return
  const reason = `it has none of the ${files.length} image files of the storage repository ${sr.uuid}`
  throw new AppError('VALUE_NOT_SUPPORTED', ['device_config:location', path, reason])
}
