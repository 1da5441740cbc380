// The use case of VDI.create: an empty VDI, which has no layer before something is imported.

import type { FormatName } from '../format-table.ts'
import type { SrRow } from '../catalog/srs.ts'
import type { NewVdi, VdiRow } from '../catalog/vdis.ts'
import { AppError } from '../errors.ts'
import { requireSizeAllowed, requireSupported } from '../transfer/at-rest-format.ts'
import { findSr, requireWritableSr } from '../transfer/find.ts'
import { alignUp, SECTOR_SIZE } from '../units.ts'
import type { OperationContext } from './context.ts'

type AskedFields =
  | 'nameLabel'
  | 'nameDescription'
  | 'type'
  | 'sharable'
  | 'readOnly'
  | 'otherConfig'
  | 'xenstoreData'
  | 'smConfig'
  | 'tags'

export interface CreateRequest extends Pick<NewVdi, AskedFields> {
  readonly srUuid: string
  /** In bytes; rounded up to whole sectors. */
  readonly virtualSize: number
  /** At rest, as the client wrote it; undefined: what the SR likes best. */
  readonly formatName: string | undefined
}

/**
 * @param taskRef the task that ends with it
 * @returns its uuid
 * @throws AppError HANDLE_INVALID, SR_OPERATION_NOT_SUPPORTED, SR_NOT_ATTACHED,
 *   VDI_INCOMPATIBLE_TYPE, VDI_TOO_LARGE; INVALID_VALUE for a size that is not above 0, or a field
 *   that is too large
 */
export const createVdi = async (
  context: OperationContext,
  { formatName, virtualSize, ...fields }: CreateRequest,
  taskRef?: string,
): Promise<string> => {
  const sr = await findSr(context, fields.srUuid)
  await requireWritableSr(context, sr.uuid)
  const chosen = chooseFormat(formatName, sr)
  const size = requireSize(virtualSize, chosen.format)
  const row = { ...fields, ...chosen, virtualSize: size }
  return (await context.catalog.vdis.create(row, taskRef)).uuid
}

/** @throws AppError VDI_INCOMPATIBLE_TYPE for one that the storage repository does not hold */
const chooseFormat = (
  asked: string | undefined,
  sr: SrRow,
): Pick<VdiRow, 'format' | 'requestedFormat'> => {
  if (asked === undefined) return { format: sr.defaultFormat, requestedFormat: null }
  const format = requireSupported(asked, sr)
  return { format, requestedFormat: format }
}

/**
 * The size asked for, in whole sectors.
 * @throws AppError INVALID_VALUE unless it is above 0; VDI_TOO_LARGE [no VDI yet, maximum]
 */
const requireSize = (asked: number, format: FormatName): number => {
  if (asked <= 0) {
    const message = `VDI Invalid size: a VDI has more than 0 bytes, not ${asked}`
    throw new AppError('INVALID_VALUE', ['virtual_size', String(asked)], { message })
  }
  const size = alignUp(asked, SECTOR_SIZE)
  requireSizeAllowed(size, format)
  return size
}
