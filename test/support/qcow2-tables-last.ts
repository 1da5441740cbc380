// Small images of qemu-img, with one L2 table of 64 KiB, changed so that their tables come last.

import { viewOf } from '../../src/image/binary.ts'
import { KiB } from '../../src/units.ts'

const clusterSize = 64 * KiB
const mask = (1n << 56n) - 1n

/** Where the L2 table of the beginning of the disk lies. */
export const firstTable = (bytes: Uint8Array): number => {
  const view = viewOf(bytes)
  return Number(view.getBigUint64(Number(view.getBigUint64(40))) & mask)
}

/** The same image whose L2 and L1 tables come after all data, in this order. */
export const tablesLast = (bytes: Uint8Array): Uint8Array => {
  const l1 = Number(viewOf(bytes).getBigUint64(40))
  const end = Math.ceil(bytes.length / clusterSize) * clusterSize
  const moved = new Uint8Array(end + 2 * clusterSize)
  moved.set(bytes)
  for (const [from, to] of [
    [firstTable(bytes), end],
    [l1, end + clusterSize],
  ] as const) {
    moved.set(bytes.subarray(from, from + clusterSize), to)
    moved.fill(0, from, from + clusterSize)
  }
  viewOf(moved).setBigUint64(end + clusterSize, BigInt(end))
  viewOf(moved).setBigUint64(40, BigInt(end + clusterSize))
  return moved
}
