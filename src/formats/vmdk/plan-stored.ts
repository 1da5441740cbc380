// Disk → Image for VMDK, streamOptimized, with grains that are wrapped as deflate wants it and not
// compressed: the one kind of it whose length is known before its first byte, and that can be read
// from any offset. What an OVA holds.
//
//   0              header, descriptor, zeros up to 64 KiB
//   n × 129 s      the grains of a table that hold data, each with its marker
//   5 s            marker, table; and so on for each table with a grain
//   …              marker, directory; marker, footer; end of stream
//
// A grain is a marker (12 bytes), the header of zlib (2), a block of 65 535 bytes and one of 1 byte
// (5 before each), and Adler-32 (4): 65 564 bytes, in 129 sectors.

import type { Disk } from '../../disk/disk.ts'
import { collectUnitRuns, groupUnitRuns } from '../../disk/unit-runs.ts'
import type { UnitRuns } from '../../disk/unit-runs.ts'
import { viewOf } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import { bytesRegion, createLayoutImage } from '../../image/layout-image.ts'
import type { Region } from '../../image/layout-image.ts'
import { vdiTooLarge } from '../../object-errors.ts'
import { SECTOR_SIZE, unitsFor } from '../../units.ts'
import type { ImageIdentity } from '../format.ts'
import { adler32 } from './adler32.ts'
import {
  GRAIN_MARKER_SIZE,
  MAXIMUM_VMDK_SIZE,
  TABLE_ENTRIES,
  WRITTEN_GRAIN_SIZE,
  markerTypes,
} from './constants.ts'
import { refuseDelta } from './plan.ts'
import { STREAM_OVERHEAD, marked, numbers, streamHead, streamHeader } from './stream-parts.ts'

/** RFC 1950: deflate, a window of 32 KiB, no compression. */
const zlibHeader = [0x78, 0x01]

/** RFC 1951, "Non-compressed blocks": final or not, the length, its complement. */
const firstBlock = [0x00, 0xff, 0xff, 0x00, 0x00]
const lastBlock = [0x01, 0x01, 0x00, 0xfe, 0xff]

const contentAt = GRAIN_MARKER_SIZE + zlibHeader.length + firstBlock.length
const lastBlockAt = contentAt + WRITTEN_GRAIN_SIZE - 1
const checksumAt = lastBlockAt + lastBlock.length + 1
const recordSectors = unitsFor(checksumAt + 4, SECTOR_SIZE)
const RECORD_SIZE = recordSectors * SECTOR_SIZE
const tableSectors = 1 + (TABLE_ENTRIES * 4) / SECTOR_SIZE
const TABLE_SIZE = tableSectors * SECTOR_SIZE

/**
 * As ImageFormat.plan, for whole disks.
 * @throws AppError VDI_TOO_LARGE
 */
export const planStoredVmdk = async (disk: Disk, identity: ImageIdentity): Promise<Image> => {
  refuseDelta(identity)
  const { size } = disk
  if (size > MAXIMUM_VMDK_SIZE) throw vdiTooLarge(identity.uuid, MAXIMUM_VMDK_SIZE)
  const layout = createLayout(await collectUnitRuns(disk, WRITTEN_GRAIN_SIZE, ['data']))
  const end = STREAM_OVERHEAD + layout.length / SECTOR_SIZE
  const directory = new Uint32Array(unitsFor(size, WRITTEN_GRAIN_SIZE * TABLE_ENTRIES))
  for (const { table, tableOffset } of layout.tables()) {
    directory[table] = STREAM_OVERHEAD + tableOffset / SECTOR_SIZE + 1
  }
  return createLayoutImage(
    [
      bytesRegion(streamHead(size, identity)),
      contentRegion(disk, layout),
      bytesRegion(marked(markerTypes.directory, numbers(directory))),
      bytesRegion(marked(markerTypes.footer, streamHeader(size, BigInt(end + 1)))),
      bytesRegion(new Uint8Array(SECTOR_SIZE)),
    ],
    () => disk.close(),
  )
}

interface PlacedTable {
  /** Its number. */
  readonly table: number
  /** Where its first grain is, from the first of all on, in bytes. */
  readonly offset: number
  /** Where its marker is. */
  readonly tableOffset: number
  /** How many grains come before its own. */
  readonly rank: number
  /** How many are its own. */
  readonly count: number
}

interface Layout {
  readonly runs: UnitRuns
  /** Of all grains and tables, in bytes. */
  readonly length: number
  /** The one with the grain, or whose table is, at that offset. */
  at(offset: number): PlacedTable
  tables(): Iterable<PlacedTable>
}

const createLayout = (runs: UnitRuns): Layout => {
  const tableRuns = groupUnitRuns(runs, TABLE_ENTRIES)
  const tableOf = (index: number): PlacedTable => {
    const table = tableRuns.runAt(index).unit
    const rank = runs.rank(table * TABLE_ENTRIES)
    const count = runs.rank((table + 1) * TABLE_ENTRIES) - rank
    const offset = rank * RECORD_SIZE + index * TABLE_SIZE
    return { table, offset, tableOffset: offset + count * RECORD_SIZE, rank, count }
  }
  return {
    runs,
    length: runs.count * RECORD_SIZE + tableRuns.count * TABLE_SIZE,
    at(offset) {
      let low = 0
      let high = tableRuns.count
      while (high - low > 1) {
        const middle = (low + high) >>> 1
        if (tableOf(middle).offset <= offset) low = middle
        else high = middle
      }
      return tableOf(low)
    },
    *tables() {
      for (let index = 0; index < tableRuns.count; index += 1) yield tableOf(index)
    },
  }
}

const contentRegion = (disk: Disk, layout: Layout): Region => ({
  length: layout.length,
  async fill(offset, target, signal) {
    const parts: Promise<void>[] = []
    for (let done = 0; done < target.length;) {
      const at = offset + done
      const placed = layout.at(at)
      if (at >= placed.tableOffset) {
        const inside = at - placed.tableOffset
        const part = target.subarray(done, done + TABLE_SIZE - inside)
        part.set(tableOf(layout, placed).subarray(inside, inside + part.length))
        done += part.length
        continue
      }
      const index = Math.floor((at - placed.offset) / RECORD_SIZE)
      const inside = at - placed.offset - index * RECORD_SIZE
      const part = target.subarray(done, done + RECORD_SIZE - inside)
      const grain = layout.runs.runAt(placed.rank + index).unit
      parts.push(fillRecord(disk, grain, inside, part, signal))
      done += part.length
    }
    // All of them write into `target`: none may go on when this has thrown.
    const outcomes = await Promise.allSettled(parts)
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  },
})

const tableOf = ({ runs }: Layout, { table, offset, count }: PlacedTable): Uint8Array => {
  const entries = new Uint32Array(TABLE_ENTRIES)
  const first = table * TABLE_ENTRIES
  let index = 0
  for (const { unit, length } of runs.between(first, first + TABLE_ENTRIES)) {
    for (let grain = unit; grain < unit + length && index < count; grain += 1, index += 1) {
      entries[grain - first] = STREAM_OVERHEAD + offset / SECTOR_SIZE + index * recordSectors
    }
  }
  return marked(markerTypes.table, numbers(entries))
}

/** The part of a grain's record from `inside` on. */
const fillRecord = async (
  disk: Disk,
  grain: number,
  inside: number,
  part: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const isWhole = part.length === RECORD_SIZE
  const record = isWhole ? part : new Uint8Array(RECORD_SIZE)
  const offset = grain * WRITTEN_GRAIN_SIZE
  const content = record.subarray(contentAt, contentAt + WRITTEN_GRAIN_SIZE)
  const held = Math.min(content.length, disk.size - offset)
  await disk.read(offset, content.subarray(0, held), signal)
  content.fill(0, held)
  const view = viewOf(record)
  view.setBigUint64(0, BigInt(offset / SECTOR_SIZE), true)
  view.setUint32(8, checksumAt + 4 - GRAIN_MARKER_SIZE, true)
  record.set(zlibHeader, GRAIN_MARKER_SIZE)
  record.set(firstBlock, GRAIN_MARKER_SIZE + zlibHeader.length)
  view.setUint32(checksumAt, adler32(content), false)
  record[lastBlockAt + lastBlock.length] = content.at(-1)!
  record.set(lastBlock, lastBlockAt)
  record.fill(0, checksumAt + 4)
  if (!isWhole) part.set(record.subarray(inside, inside + part.length))
}
