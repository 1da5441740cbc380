// L2 tables of an image at rest, in pieces, read when they are needed and kept while there is room.

import { viewOf } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import { MiB } from '../../units.ts'

/** Bytes of pieces that are kept: 8 GiB of guest for each MiB at 64 KiB clusters. */
const capacity = 4 * MiB

export interface L2Cache {
  /**
   * The piece with this number, which lies at `imageOffset`. Readers of one piece share one read.
   */
  get(piece: number, imageOffset: number): Promise<DataView>
}

/**
 * Reads tables one after the other into one buffer, for a look at all of them: each is valid until
 * the next is asked for. As garbage, the tables of a large disk would take more memory than the
 * cache.
 */
export const createL2Scan = (image: Image, tableSize: number): L2Cache['get'] => {
  let bytes: Uint8Array | undefined
  return async (_table, imageOffset) => {
    bytes ??= Buffer.allocUnsafeSlow(tableSize)
    await image.read(imageOffset, bytes)
    return viewOf(bytes)
  }
}

/** @param pieceSize bytes in a piece */
export const createL2Cache = (image: Image, pieceSize: number): L2Cache => {
  const maximum = capacity / pieceSize
  // In the order of last use: the first is the one to go.
  const pieces = new Map<number, Promise<DataView>>()

  const load = async (imageOffset: number): Promise<DataView> => {
    // No signal: others may wait for this read when the one that asked first is gone.
    const bytes = Buffer.allocUnsafeSlow(pieceSize)
    await image.read(imageOffset, bytes)
    return viewOf(bytes)
  }
  return {
    get(piece, imageOffset) {
      const known = pieces.get(piece)
      if (known !== undefined) {
        pieces.delete(piece)
        pieces.set(piece, known)
        return known
      }
      const loading = load(imageOffset)
      pieces.set(piece, loading)
      loading.catch(() => {
        if (pieces.get(piece) === loading) pieces.delete(piece)
      })
      for (const oldest of pieces.keys()) {
        if (pieces.size <= maximum) break
        pieces.delete(oldest)
      }
      return loading
    },
  }
}
