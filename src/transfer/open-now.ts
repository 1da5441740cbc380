// Opens what a VDI shows at this moment together with its row: an import or a move that ends in
// between would leave the one without the other.

import type { VdiRow } from '../catalog/vdis.ts'
import type { OpenedVdi } from '../store/storage.ts'
import type { TransferContext } from './context.ts'

export interface VdiNow extends OpenedVdi {
  readonly vdi: VdiRow
  readonly base: VdiRow | undefined
}

/**
 * @param baseUuid where given, the disk tells only what may differ from this VDI
 * @throws AppError HANDLE_INVALID
 */
export const openNow = async (
  { storage }: TransferContext,
  vdiUuid: string,
  baseUuid: string | undefined,
): Promise<VdiNow> => {
  const held = await storage.holdVdis([vdiUuid, ...(baseUuid === undefined ? [] : [baseUuid])])
  try {
    const [vdi, base] = held.vdis
    return { ...(await storage.openVdi(vdi!, base)), vdi: vdi!, base }
  } finally {
    // From here on the open disk holds them.
    held.release()
  }
}
