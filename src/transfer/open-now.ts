// Opens what a VDI shows at this moment together with its row: an import or a move that ends in
// between would leave the one without the other.

import type { VdiRow } from '../catalog/vdis.ts'
import type { TransferContext } from './context.ts'

/** The rows that were opened. */
export interface Now {
  readonly vdi: VdiRow
  /** Undefined where none was named. */
  readonly base: VdiRow | undefined
}

/**
 * @param open opens the rows; their layers are kept meanwhile
 * @throws AppError HANDLE_INVALID; what `open` throws
 */
export const openNow = async <Opened extends object>(
  { storage }: TransferContext,
  vdiUuid: string,
  baseUuid: string | undefined,
  open: (vdi: VdiRow, base: VdiRow | undefined) => Promise<Opened>,
): Promise<Opened & Now> => {
  const held = await storage.holdVdis([vdiUuid, ...(baseUuid === undefined ? [] : [baseUuid])])
  try {
    const [vdi, base] = held.vdis
    return { ...(await open(vdi!, base)), vdi: vdi!, base }
  } finally {
    // From here on what is open holds them.
    held.release()
  }
}
