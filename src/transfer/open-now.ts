// Opens what a VDI shows at this moment together with its row: an import or a move that ends in
// between would leave the one without the other.

import type { VdiRow } from '../catalog/vdis.ts'
import type { TransferContext } from './context.ts'

/**
 * @param open opens the rows; their layers are kept meanwhile
 * @throws AppError HANDLE_INVALID; what `open` throws
 */
export const openNow = async <Opened>(
  { storage }: TransferContext,
  vdiUuid: string,
  baseUuid: string | undefined,
  open: (vdi: VdiRow, base: VdiRow | undefined) => Promise<Opened>,
): Promise<Opened> => {
  const held = await storage.holdVdis([vdiUuid, ...(baseUuid === undefined ? [] : [baseUuid])])
  try {
    const [vdi, base] = held.vdis
    return await open(vdi!, base)
  } finally {
    // From here on what is open holds them.
    held.release()
  }
}
