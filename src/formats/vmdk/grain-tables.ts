// The grain directory and its tables: for each grain of the disk its place in the file, in sectors.
// Only tables that hold something are kept; memory grows with what is in the file.

import { imageError, PastEndError } from '../../errors.ts'
import { hex, viewOf } from '../../image/binary.ts'
import { alignUp, KiB, SECTOR_SIZE, unitsFor } from '../../units.ts'
import { ZEROED_GRAIN } from './constants.ts'
import type { Header } from './header.ts'
import { tableCountOf } from './header.ts'

type Read = (offset: number, target: Uint8Array) => Promise<void>

/** The places of tables, by their numbers; 0 where there is none. */
export type Directory = Uint32Array

const pieceSize = 64 * KiB

export const directoryLength = (header: Header): number => tableCountOf(header) * 4

export const tableLength = ({ tableEntries }: Header): number => tableEntries * 4

/** @param read fills `target` with what is at `offset` in the file */
export const readDirectory = async (
  header: Header,
  offset: number,
  read: Read,
): Promise<Directory> => {
  const length = directoryLength(header)
  const directory = new Uint32Array(length / 4)
  const piece = new Uint8Array(Math.min(length, pieceSize))
  const view = viewOf(piece)
  for (let done = 0; done < length; done += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, length - done))
    await read(offset + done, part)
    for (let at = 0; at < part.length; at += 4) {
      directory[(done + at) / 4] = view.getUint32(at, true)
    }
  }
  return directory
}

/** Where the last of the tables ends. */
export const tablesEnd = (header: Header, directory: Directory): number =>
  directory.reduce(
    (end, place) => (place === 0 ? end : Math.max(end, place * SECTOR_SIZE + tableLength(header))),
    0,
  )

/** By the numbers of their tables. */
export class GrainTables {
  readonly #entries: number
  readonly #tables = new Map<number, Uint32Array>()

  constructor({ tableEntries }: Pick<Header, 'tableEntries'>) {
    this.#entries = tableEntries
  }

  /** Ascending, of those that hold something. */
  get numbers(): number[] {
    return [...this.#tables.keys()].toSorted((a, b) => a - b)
  }

  /** The place of a grain, in sectors; 0 where it is not in the file. */
  get(grain: number): number {
    const table = this.#tables.get(Math.floor(grain / this.#entries))
    return table === undefined ? 0 : table[grain % this.#entries]!
  }

  /** A whole table; one that holds nothing is not kept. */
  add(number: number, table: Uint32Array): void {
    if (table.some((place) => place !== 0)) this.#tables.set(number, table)
  }

  table(number: number): Uint32Array | undefined {
    return this.#tables.get(number)
  }
}

/** At most so many bytes of tables that follow each other are read at once. */
const tablesAtOnce = 256 * KiB

/** @throws AppError IMPORT_ERROR_GENERIC where two tables share bytes */
export const readTables = async (
  header: Header,
  directory: Directory,
  read: Read,
  what: string,
): Promise<GrainTables> => {
  requireApart(header, directory, what)
  const tables = new GrainTables(header)
  const { tableEntries } = header
  const length = tableLength(header)
  const sectors = unitsFor(length, SECTOR_SIZE)
  const stride = alignUp(length, SECTOR_SIZE)
  for (let number = 0; number < directory.length;) {
    const first = number
    const place = directory[first]!
    number += 1
    if (place === 0) continue
    const follows = (): boolean =>
      number < directory.length &&
      directory[number] === place + (number - first) * sectors &&
      (number - first + 1) * stride <= tablesAtOnce
    while (follows()) number += 1
    const count = number - first
    const bytes = new Uint8Array((count - 1) * stride + length)
    await read(place * SECTOR_SIZE, bytes)
    const view = viewOf(bytes)
    for (let index = 0; index < count; index += 1) {
      const table = Uint32Array.from({ length: tableEntries }, (_, entry) =>
        view.getUint32(index * stride + entry * 4, true),
      )
      tables.add(first + index, table)
    }
  }
  return tables
}

const requireApart = (header: Header, directory: Directory, what: string): void => {
  const sectors = unitsFor(tableLength(header), SECTOR_SIZE)
  const places = directory.filter((place) => place !== 0).toSorted()
  for (let index = 1; index < places.length; index += 1) {
    if (places[index]! - places[index - 1]! >= sectors) continue
    const [before, place] = [places[index - 1]!, places[index]!].map((each) =>
      hex(each * SECTOR_SIZE),
    )
    throw imageError(what, `the grain tables at ${before} and ${place} share bytes`)
  }
}

/** Whether the grain's data is in the file. */
export const isStored = ({ hasZeroedGrains }: Header, place: number): boolean =>
  place !== 0 && !isZeroed({ hasZeroedGrains }, place)

export const isZeroed = (
  { hasZeroedGrains }: Pick<Header, 'hasZeroedGrains'>,
  place: number,
): boolean => hasZeroedGrains && place === ZEROED_GRAIN

interface StoredTables {
  readonly tables: GrainTables
  readonly directory: Directory
  /** Where the image ends. */
  readonly end: number
}

/**
 * The grains that are in the file, in its order.
 * @param header whose directory is in the file
 * @throws AppError IMPORT_ERROR_GENERIC for one that is where another is, among the tables or past
 *   the end
 */
export const grainsInFileOrder = (
  header: Header,
  { tables, directory, end }: StoredTables,
  what: string,
): Uint32Array => {
  const places = [header.directoryOffset! / SECTOR_SIZE, ...directory.filter((place) => place > 0)]
  const grains = sortByPlace(tables, storedGrains(header, tables))
  const least = header.isCompressed ? SECTOR_SIZE : header.grainSize
  const offsetAt = (at: number): number => tables.get(grains[at]!) * SECTOR_SIZE
  if (grains.length > 0 && offsetAt(0) < SECTOR_SIZE + header.descriptorSize) {
    throw imageError(what, `grain ${grains[0]} at ${hex(offsetAt(0))} overlaps the header`)
  }
  requireTablesApart(header, tables, grains, places, what)
  for (let at = 1; at < grains.length; at += 1) {
    if (offsetAt(at) - offsetAt(at - 1) >= least) continue
    const found = `grain ${grains[at]} at ${hex(offsetAt(at))}`
    throw imageError(what, `${found} overlaps grain ${grains[at - 1]}`)
  }
  const last = grains.at(-1)
  if (last === undefined) return grains
  const offset = tables.get(last) * SECTOR_SIZE
  // What lies after the end of the disk may be lacking.
  const { virtualSize, grainSize, isCompressed } = header
  const length = isCompressed ? SECTOR_SIZE : Math.min(grainSize, virtualSize - last * grainSize)
  if (offset + length > end) {
    const found = `grain ${last} at ${hex(offset)}`
    throw new PastEndError(what, `${found} points past the end of the image, ${hex(end)}`)
  }
  return grains
}

/** @param places of the directory and its tables, in sectors */
const requireTablesApart = (
  header: Header,
  tables: GrainTables,
  grains: Uint32Array,
  places: readonly number[],
  what: string,
): void => {
  const grainSectors = header.isCompressed ? 1 : header.grainSize / SECTOR_SIZE
  const sectors = unitsFor(tableLength(header), SECTOR_SIZE)
  for (const place of places) {
    let low = 0
    let high = grains.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (tables.get(grains[middle]!) + grainSectors <= place) low = middle + 1
      else high = middle
    }
    const grain = grains[low]
    if (grain === undefined || tables.get(grain) >= place + sectors) continue
    const found = `grain ${grain} at ${hex(tables.get(grain) * SECTOR_SIZE)}`
    throw imageError(what, `${found} overlaps a grain table, at ${hex(place * SECTOR_SIZE)}`)
  }
}

/** Ascending by grain. Entries after the end of the disk mean nothing. */
const storedGrains = (header: Header, tables: GrainTables): Uint32Array => {
  const count = unitsFor(header.virtualSize, header.grainSize)
  const grains: number[] = []
  for (const number of tables.numbers) {
    const first = number * header.tableEntries
    const table = tables.table(number)!
    for (const [index, place] of table.entries()) {
      if (first + index < count && isStored(header, place)) grains.push(first + index)
    }
  }
  return Uint32Array.from(grains)
}

const sortByPlace = (tables: GrainTables, grains: Uint32Array): Uint32Array => {
  let isAscending = true
  for (let at = 1; at < grains.length && isAscending; at += 1) {
    isAscending = tables.get(grains[at]!) > tables.get(grains[at - 1]!)
  }
  if (isAscending) return grains
  // Sorting numbers without a comparison function is native; each place carries its grain along.
  const keys = BigUint64Array.from(
    grains,
    (grain) => (BigInt(tables.get(grain)) << 32n) | BigInt(grain),
  )
  keys.sort()
  return Uint32Array.from(keys, (key) => Number(key & 0xffffffffn))
}
