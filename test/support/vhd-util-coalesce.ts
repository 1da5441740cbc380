// What `vhd-util coalesce` does, byte for byte, with a VHD of blocks of 2 MiB: it copies into the
// parent what batmap and sector bitmaps mark, and fails where that goes beyond the disk.

const blockSectors = 4096
const unused = 0xffffffff

/** ERANGE, as `vhd-util` prints it. */
export class CoalesceError extends Error {
  constructor(block: number, sector: number, count: number) {
    super(`error coalescing: -34 (block ${block}: ${count} sectors from ${sector} on)`)
  }
}

/**
 * Merges a differencing (or dynamic) file into its parent.
 * @param parent what the guest sees of the parent, as long as the disk; changed in place, up to the
 *   failure
 * @returns how many sectors were copied
 * @throws CoalesceError
 */
export const coalesceInto = (file: Uint8Array, parent: Uint8Array): number => {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
  let copied = 0
  for (const { block, from, count } of markedRuns(bytes)) {
    const sector = block * blockSectors + from
    // vhd_io_write compares with the footer's current size.
    if ((sector + count) * 512 > parent.length) throw new CoalesceError(block, sector, count)
    const start = (dataSector(bytes, block) + from) * 512
    parent.set(bytes.subarray(start, start + count * 512), sector * 512)
    copied += count
  }
  return copied
}

/** The blocks whose marks reach beyond the disk, by a message each: `coalesce` would fail there. */
export const coalesceProblems = (bytes: Buffer): string[] => {
  const size = Number(bytes.readBigUInt64BE(48))
  const problems: string[] = []
  for (const { block, from, count } of markedRuns(bytes)) {
    if ((block * blockSectors + from + count) * 512 <= size) continue
    problems.push(`block ${block} marks sectors beyond the disk, which coalesce cannot write`)
  }
  return problems
}

interface MarkedRun {
  readonly block: number
  /** Sectors, counted in the block. */
  readonly from: number
  readonly count: number
}

/**
 * A bit in the batmap stands for the whole block; only where it is clear, the block's bitmap is
 * read.
 */
function* markedRuns(bytes: Buffer): Generator<MarkedRun> {
  const isInBatmap = batmapOf(bytes)
  const count = bytes.readUInt32BE(512 + 28)
  for (let block = 0; block < count; block += 1) {
    if (tableEntry(bytes, block) === unused) continue
    if (isInBatmap(block)) yield { block, from: 0, count: blockSectors }
    else yield* bitmapRuns(bytes, block)
  }
}

function* bitmapRuns(bytes: Buffer, block: number): Generator<MarkedRun> {
  const bitmap = (dataSector(bytes, block) - 1) * 512
  const isSet = (sector: number): boolean =>
    (bytes[bitmap + (sector >> 3)]! & (0x80 >> (sector & 7))) !== 0
  for (let from = 0; from < blockSectors;) {
    let to = from
    while (to < blockSectors && isSet(to)) to += 1
    if (to > from) yield { block, from, count: to - from }
    from = to + 1
  }
}

const batmapOf = (bytes: Buffer): ((block: number) => boolean) => {
  const tableBytes = Math.ceil((bytes.readUInt32BE(512 + 28) * 4) / 512) * 512
  const offset = Number(bytes.readBigUInt64BE(512 + 16)) + tableBytes
  if (bytes.toString('latin1', offset, offset + 8) !== 'tdbatmap') return () => false
  const bits = Number(bytes.readBigUInt64BE(offset + 8))
  return (block) => (bytes[bits + (block >> 3)]! & (0x80 >> (block & 7))) !== 0
}

const tableEntry = (bytes: Buffer, block: number): number =>
  bytes.readUInt32BE(Number(bytes.readBigUInt64BE(512 + 16)) + block * 4)

/** Where the data of a block begins, after its bitmap of one sector. */
const dataSector = (bytes: Buffer, block: number): number => tableEntry(bytes, block) + 1
