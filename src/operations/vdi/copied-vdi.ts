// The row of a VDI that is a full copy of another.

import { randomUUID } from 'node:crypto'
import { objectBounds, requireWithin } from '../../catalog/bounds.ts'
import type { SrRow } from '../../catalog/srs.ts'
import type { NewVdi, VdiRow } from '../../catalog/vdis.ts'
import { formatFor, requireSizeAllowed } from '../../transfer/at-rest-format.ts'
import { requireWritableSr } from '../../transfer/find.ts'
import type { OperationContext } from '../context.ts'
import { notASnapshot } from './derived-vdi.ts'

export type CopiedVdi = NewVdi & { readonly uuid: string }

/**
 * Before anything is copied; the row has no content yet.
 * @throws AppError SR_OPERATION_NOT_SUPPORTED, SR_NOT_ATTACHED, VDI_INCOMPATIBLE_TYPE,
 *   VDI_TOO_LARGE; INVALID_VALUE for a field that is too large
 */
export const copiedVdi = async (
  context: OperationContext,
  vdi: VdiRow,
  sr: SrRow,
): Promise<CopiedVdi> => {
  await requireWritableSr(context, sr.uuid)
  const chosen = formatFor(vdi, sr)
  requireSizeAllowed(vdi.virtualSize, chosen.format, vdi.uuid)
  const from = await context.catalog.srs.get(vdi.srUuid)
  const { createdAt: _createdAt, changedAt: _changedAt, ...rest } = vdi
  const copy = {
    ...rest,
    ...notASnapshot(vdi),
    // What lies where nothing may be written is read-only for that reason alone.
    ...(from?.readOnly === true && { readOnly: false }),
    ...chosen,
    uuid: randomUUID(),
    srUuid: sr.uuid,
    layerUuid: null,
    contentUuid: null,
    contentAt: null,
  }
  requireWithin(objectBounds, copy)
  return copy
}
