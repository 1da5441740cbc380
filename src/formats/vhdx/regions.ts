// The region table of a VHDX: where the block table and the metadata lie.

import { imageError } from '../../errors.ts'
import { hex, readUint64, viewOf } from '../../image/binary.ts'
import { readGuid, writeGuid } from '../guid.ts'
import {
  ALIGNMENT,
  MAXIMUM_REGIONS,
  METADATA_TABLE_LENGTH,
  PREFIX_LENGTH,
  REGION_TABLE_LENGTH,
  REGION_TABLE_OFFSETS,
  regionIds,
} from './constants.ts'
import { checksumOf, isWhole } from './headers.ts'

const signature = 'regi'
const checksumAt = 4
const countAt = 8
const entriesAt = 16
const entrySize = 32

/** A stretch of the file that blocks must not meet. */
export interface Region {
  readonly name: string
  readonly offset: number
  readonly length: number
}

export interface Regions {
  readonly blockTable: Region
  readonly metadata: Region
}

/**
 * @param prefix the first MiB
 * @throws AppError IMPORT_ERROR_GENERIC where neither copy is whole, or one names what is unknown
 *   and must be understood
 */
export const readRegions = (prefix: Uint8Array, what: string): Regions => {
  const copies = REGION_TABLE_OFFSETS.map((offset) =>
    prefix.subarray(offset, offset + REGION_TABLE_LENGTH),
  )
  const table = copies.find((bytes) => isWhole(bytes, signature, checksumAt))
  if (table === undefined) {
    const places = REGION_TABLE_OFFSETS.map(hex).join(' and ')
    const found = `neither region table, at ${places}, is whole`
    throw imageError(what, `${found}: signature or checksum is wrong`)
  }
  return parseTable(viewOf(table), what)
}

const parseTable = (view: DataView, what: string): Regions => {
  const count = view.getUint32(countAt, true)
  if (count > MAXIMUM_REGIONS) {
    throw imageError(what, `the region table has ${count} entries, the limit is ${MAXIMUM_REGIONS}`)
  }
  const found: { -readonly [name in keyof Regions]?: Region } = {}
  for (let index = 0; index < count; index += 1) {
    const at = entriesAt + index * entrySize
    const id = readGuid(view, at)
    const name = nameOf(id)
    if (name === undefined) {
      if ((view.getUint32(at + 28, true) & 1) === 0) continue
      throw imageError(what, `the region ${id} is not known and must be understood by its mark`)
    }
    const label = name === 'metadata' ? 'metadata' : 'block table'
    if (found[name] !== undefined) throw imageError(what, `there are two regions of ${label}`)
    found[name] = checkRegion(
      {
        name: label,
        offset: readUint64(view, at + 16, `${what}: ${label}: offset`, true),
        length: view.getUint32(at + 24, true),
      },
      what,
    )
  }
  const { blockTable, metadata } = found
  if (blockTable === undefined || metadata === undefined) {
    throw imageError(
      what,
      `there is no region of ${metadata === undefined ? 'metadata' : 'blocks'}`,
    )
  }
  if (metadata.length < METADATA_TABLE_LENGTH) {
    throw imageError(what, `the metadata has ${metadata.length} bytes, no room for its table`)
  }
  requireApart([blockTable, metadata], what)
  return { blockTable, metadata }
}

const nameOf = (id: string): keyof Regions | undefined => {
  if (id === regionIds.blockTable) return 'blockTable'
  return id === regionIds.metadata ? 'metadata' : undefined
}

const checkRegion = (region: Region, what: string): Region => {
  const { name, offset, length } = region
  const isAligned = offset % ALIGNMENT === 0 && length % ALIGNMENT === 0
  if (isAligned && offset >= PREFIX_LENGTH && length > 0) return region
  const found = `the ${name} of ${length} bytes is at ${hex(offset)}`
  throw imageError(what, `${found}, must be whole MiB from 1 MiB on`)
}

/** @throws AppError IMPORT_ERROR_GENERIC where two meet */
export const requireApart = (regions: readonly Region[], what: string): void => {
  const sorted = regions.toSorted((a, b) => a.offset - b.offset)
  for (const [index, region] of sorted.entries()) {
    const next = sorted[index + 1]
    if (next === undefined || region.offset + region.length <= next.offset) continue
    const end = hex(region.offset + region.length)
    throw imageError(
      what,
      `the ${next.name} at ${hex(next.offset)} overlaps the ${region.name}, which ends at ${end}`,
    )
  }
}

export const encodeRegions = ({ blockTable, metadata }: Regions): Uint8Array => {
  const bytes = new Uint8Array(REGION_TABLE_LENGTH)
  Buffer.from(bytes.buffer).write(signature, 'latin1')
  const view = viewOf(bytes)
  const entries = [
    [regionIds.blockTable, blockTable],
    [regionIds.metadata, metadata],
  ] as const
  view.setUint32(countAt, entries.length, true)
  for (const [index, [id, { offset, length }]] of entries.entries()) {
    const at = entriesAt + index * entrySize
    writeGuid(view, at, id)
    view.setBigUint64(at + 16, BigInt(offset), true)
    view.setUint32(at + 24, length, true)
    view.setUint32(at + 28, 1, true)
  }
  view.setUint32(checksumAt, checksumOf(bytes, checksumAt), true)
  return bytes
}
