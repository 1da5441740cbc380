// The use case of VDI.introduce: an image file in the folder of a storage repository becomes a VDI.

import type { VdiUpdate, VdiRow } from '../catalog/vdis.ts'
import { AppError } from '../errors.ts'
import { parseImageFileName } from '../store/scanning/inspect-file.ts'
import type { IntroducedVdi } from '../store/scanning/scan-folder.ts'
import { findSr } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'

interface IntroduceRequest {
  readonly srUuid: string
  /** The name of the file, or the uuid in it. */
  readonly location: string
  /** In a read-only storage repository it is read-only, whatever this says. */
  readonly vdi: IntroducedVdi
  /**
   * What the client sets beside, for the VDI as the file made it.
   * @throws AppError where it contradicts the file: the VDI is not introduced then
   */
  readonly change?: (vdi: VdiRow) => VdiUpdate
}

/**
 * @throws AppError HANDLE_INVALID; VALUE_NOT_SUPPORTED [uuid, uuid, reason] where there is such a
 *   VDI already; VALUE_NOT_SUPPORTED [location, name, what is wrong with the file]; what `change`
 *   throws
 */
export const introduceVdi = async (
  context: OperationContext,
  { srUuid, location, vdi, change }: IntroduceRequest,
): Promise<void> => {
  const { catalog, storage } = context
  const { uuid } = vdi
  const sr = await findSr(context, srUuid)
  if ((await catalog.vdis.get(uuid)) !== undefined) {
    throw new AppError('VALUE_NOT_SUPPORTED', ['uuid', uuid, 'there is a VDI with it already'])
  }
  const fail = (found: string): AppError =>
    new AppError('VALUE_NOT_SUPPORTED', ['location', location.slice(0, 64), found])
  const name = await findFile(context, srUuid, location)
  if (name === undefined) throw fail('there is no image file of that name or uuid in the folder')
  const asked = { ...vdi, readOnly: vdi.readOnly || sr.readOnly }
  const { added, problems } = await storage.scanner.introduce(srUuid, name, asked)
  if (added.length === 0) throw fail(problems.get(name) ?? 'the file has gone')
  if (change === undefined) return
  try {
    await catalog.vdis.update(uuid, change)
  } catch (error) {
    await catalog.forget.vdi(uuid)
    throw error
  }
}

/** The file that a client names by its name or by its uuid; undefined where there is none. */
const findFile = async (
  { storage }: OperationContext,
  srUuid: string,
  location: string,
): Promise<string | undefined> => {
  const entries = (await storage.stores.get(srUuid).files?.list()) ?? []
  const images = entries.flatMap(({ name }) => parseImageFileName(name) ?? [])
  const found = images.find(
    ({ fileName, uuid }) => fileName === location || uuid === location.toLowerCase(),
  )
  return found?.fileName
}
