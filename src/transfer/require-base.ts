// A delta is content only on top of what it was taken from. Refuses one where nothing lies below
// it: alone it would show its blocks and zeros between them. Asked by imports into a VDI; a new VDI
// never takes a delta.

import { refToUuid } from '../refs.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import { imageError } from '../errors.ts'
import type { FormatName } from '../format-table.ts'
import type { DecodedImage } from '../formats/format.ts'
import type { TransferContext } from './context.ts'

interface Delta {
  readonly format: FormatName
  /** The VDI's content is not kept. */
  readonly replace: boolean
  readonly decoded: Pick<DecodedImage, 'isDelta' | 'baseName'>
}

/**
 * Allows a delta that was taken against a VDI which holds nothing: nothing is what must lie below
 * it.
 * @param vdi into which it goes, as it is while its lease is held
 * @throws AppError IMPORT_ERROR_GENERIC for any other delta, by the image's own mark, on nothing
 */
export const requireBase = async (
  context: TransferContext,
  vdi: VdiRow,
  { format, replace, decoded }: Delta,
): Promise<void> => {
  // XenServer's chunks leave out empty blocks; they are not a delta.
  if (!decoded.isDelta || format === 'raw') return
  const found = 'it is a delta and holds only what differs from its base'
  if (replace) {
    const advice = 'leave out replace=true, and import it into a VDI that holds its base'
    throw imageError(`Cannot replace the VDI ${vdi.uuid} by this ${format}`, `${found}: ${advice}`)
  }
  if (vdi.layerUuid !== null || (await isOfNothing(context, decoded.baseName))) return
  const advice = 'import its base first, whole, even if that is an empty disk'
  throw imageError(
    `Cannot import this ${format} into the VDI ${vdi.uuid}, which holds nothing`,
    `${found}: ${advice}`,
  )
}

/** Whether the base is a VDI here in which nothing was ever written. */
const isOfNothing = async (
  { catalog }: TransferContext,
  baseName: string | undefined,
): Promise<boolean> => {
  const uuid = refToUuid(baseName ?? '')
  const base = uuid === undefined ? undefined : await catalog.vdis.get(uuid)
  return base?.layerUuid === null
}
