// A VDI that a move brings: an empty one, or one that begins with the content of another of the
// move. The source names it, so that asking again after a cut makes no second one.

import { AppError } from '../errors.ts'
import { vdiTooSmall } from '../object-errors.ts'
import { requireSizeAllowed } from '../transfer/at-rest-format.ts'
import { findVdi, requireWritableSr } from '../transfer/find.ts'
import { SECTOR_SIZE } from '../units.ts'
import type { OperationContext } from './context.ts'
import { contextOfMove } from './moves/move-context.ts'
import type { IncomingVdi } from './moves/wire.ts'

/**
 * @throws AppError HANDLE_INVALID, SR_OPERATION_NOT_SUPPORTED, SR_NOT_ATTACHED, VDI_TOO_LARGE,
 *   VDI_TOO_SMALL; INVALID_VALUE for a uuid that another VDI has, a size that no disk has, and a
 *   clone that would lie elsewhere
 */
export const receiveVdi = async (
  context: OperationContext,
  moveUuid: string,
  { cloneOf, ...vdi }: IncomingVdi,
): Promise<void> => {
  const { uuid, srUuid, format, virtualSize } = vdi
  const ofMove = contextOfMove(context, moveUuid)
  if ((await ofMove.catalog.vdis.get(uuid)) !== undefined) return
  if ((await context.catalog.vdis.get(uuid)) !== undefined) {
    const message = `There is a VDI ${uuid} already`
    throw new AppError('INVALID_VALUE', ['uuid', uuid], { message })
  }
  await requireWritableSr(context, srUuid)
  requireSize(virtualSize)
  requireSizeAllowed(virtualSize, format, uuid)
  if (cloneOf === null) {
    await ofMove.catalog.vdis.create(vdi)
    return
  }
  await findVdi(ofMove, cloneOf)
  await ofMove.catalog.vdis.derive(cloneOf, (source) => {
    if (source.srUuid !== srUuid || source.format !== format) {
      const message = `A clone of the VDI ${cloneOf} lies where that does, in the same format`
      throw new AppError('INVALID_VALUE', ['cloneOf', cloneOf], { message })
    }
    if (source.virtualSize > virtualSize) {
      throw vdiTooSmall(uuid, source.virtualSize, `The VDI ${cloneOf} is larger than its clone`)
    }
    const { layerUuid, contentUuid, contentAt, incomingMoveUuid } = source
    return { ...vdi, layerUuid, contentUuid, contentAt, incomingMoveUuid }
  })
}

const requireSize = (size: number): void => {
  if (size > 0 && size % SECTOR_SIZE === 0) return
  throw new AppError('INVALID_VALUE', ['virtualSize', String(size)], {
    message: `A disk has a multiple of ${SECTOR_SIZE} bytes, not ${size}`,
  })
}
