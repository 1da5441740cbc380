// The L1 table, read piece by piece: the same for an image at rest and for a stream.

import { viewOf } from '../../image/binary.ts'
import { KiB } from '../../units.ts'
import { TABLE_ENTRY_SIZE } from './constants.ts'
import type { Header } from './header/header.ts'
import { readL1Entry } from './tables.ts'

const pieceSize = 64 * KiB

/**
 * Visits the L2 tables that the disk has, by number; `offset` is where one lies in the image.
 * @param fill called for consecutive stretches of the image, the first at `header.l1Offset`
 * @throws AppError IMPORT_ERROR_GENERIC for an entry that breaks the format
 */
export const visitL2Tables = async (
  header: Header,
  what: string,
  fill: (imageOffset: number, target: Uint8Array) => Promise<void>,
  visit: (table: number, offset: number) => void,
): Promise<void> => {
  const rules = { ...header, what }
  const length = header.l1Entries * TABLE_ENTRY_SIZE
  const piece = new Uint8Array(Math.min(pieceSize, length))
  for (let done = 0; done < length; done += pieceSize) {
    const bytes = piece.subarray(0, Math.min(pieceSize, length - done))
    await fill(header.l1Offset + done, bytes)
    const view = viewOf(bytes)
    for (let at = 0; at < bytes.length; at += TABLE_ENTRY_SIZE) {
      const table = (done + at) / TABLE_ENTRY_SIZE
      const offset = readL1Entry(view, at, table, rules)
      if (offset > 0) visit(table, offset)
    }
  }
}
