// A streamOptimized VMDK whose directory comes at the end: grains, tables and the directory tell by
// their markers what they are. Each grain is taken as it comes; tables, directory and footer are
// held against what came, so that no image counts as whole that is not.

import type { DiskWrite } from '../../disk/disk.ts'
import { imageError } from '../../errors.ts'
import { hex, viewOf } from '../../image/binary.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import { KiB, SECTOR_SIZE, unitsFor } from '../../units.ts'
import type { DecodeContext } from '../format.ts'
import type { KeptStart } from '../kept-start.ts'
import { CameGrains } from './came-grains.ts'
import { GRAIN_MARKER_SIZE, HEADER_SIZE, markerTypes } from './constants.ts'
import { longestGrain, parseMarker, storedLength } from './grain-content.ts'
import { directoryLength, isZeroed, tableLength } from './grain-tables.ts'
import type { Header } from './header.ts'
import { parseHeader, tableCountOf } from './header.ts'
import { InflatingGrains } from './inflating-grains.ts'
import { checkFooter } from './structure.ts'

/** @param kept up to the end of the descriptor, and no further */
export async function* decodeByMarkers(
  stream: ForwardReader,
  kept: KeptStart,
  header: Header,
  context: DecodeContext,
  what: string,
): AsyncGenerator<DiskWrite, void, undefined> {
  const reader = new MarkedGrains(stream, header, what)
  const inflating = new InflatingGrains(header, context)
  try {
    await stream.skip(Math.max(0, header.overhead - stream.offset), `${what}: header`)
    for (;;) {
      const grain = await reader.next()
      if (grain === undefined) break
      inflating.add(grain.number, grain.bytes, grain.name)
      yield* inflating.writes()
    }
    yield* inflating.finish()
    yield* reader.zeroedGrains()
  } finally {
    inflating.close()
    await kept.close()
  }
}

interface MarkedGrain {
  readonly number: number
  readonly bytes: Uint8Array
  /** For messages. */
  readonly name: string
}

/** What a marker that is no grain's says. */
interface Metadata {
  readonly type: number
  readonly sectors: bigint
}

class MarkedGrains {
  readonly #stream: ForwardReader
  readonly #header: Header
  readonly #what: string
  readonly #came = new CameGrains()
  /** The tables that came, by their places. */
  readonly #tables = new Map<number, Uint32Array>()
  #directory: { readonly offset: number; readonly entries: Uint32Array } | undefined
  #footer: Header | undefined

  constructor(stream: ForwardReader, header: Header, what: string) {
    this.#stream = stream
    this.#header = header
    this.#what = what
  }

  /** The next grain; undefined when all have come and the rest agrees with them. */
  async next(): Promise<MarkedGrain | undefined> {
    for (;;) {
      const offset = this.#stream.offset
      const sector = new Uint8Array(SECTOR_SIZE)
      await this.#stream.read(sector, `${this.#what}: marker at ${hex(offset)}`)
      const marker = parseMarker(sector)
      if (marker.length > 0) return this.#readGrain(sector, offset)
      const type = viewOf(sector).getUint32(GRAIN_MARKER_SIZE, true)
      const metadata = { type, sectors: marker.sector }
      if (type === markerTypes.endOfStream) {
        this.#checkEnd()
        return undefined
      }
      await this.#readMetadata(metadata, offset)
    }
  }

  /** Those that the tables say are zeros. To be asked for when all have come. */
  *zeroedGrains(): Generator<DiskWrite, void, undefined> {
    const { grainSize, virtualSize, tableEntries, hasZeroedGrains } = this.#footer!
    if (!hasZeroedGrains) return
    for (const [number, place] of this.#directory!.entries.entries()) {
      const table = place === 0 ? [] : this.#tables.get(place)!
      for (const [index, entry] of table.entries()) {
        const offset = (number * tableEntries + index) * grainSize
        if (!isZeroed({ hasZeroedGrains }, entry) || offset >= virtualSize) continue
        yield { kind: 'zero', offset, length: Math.min(grainSize, virtualSize - offset) }
      }
    }
  }

  async #readGrain(sector: Uint8Array, offset: number): Promise<MarkedGrain> {
    const { grainSize, virtualSize } = this.#header
    const marker = parseMarker(sector)
    const name = `${this.#what}: grain at ${hex(offset)}`
    const first = marker.sector * BigInt(SECTOR_SIZE)
    if (first % BigInt(grainSize) !== 0n || first >= BigInt(virtualSize)) {
      throw imageError(name, `its marker says sector ${marker.sector}, where no grain begins`)
    }
    if (marker.length > longestGrain(grainSize)) {
      throw imageError(name, `its marker says ${marker.length} bytes, a grain has ${grainSize}`)
    }
    const number = Number(first) / grainSize
    this.#came.add(number, offset / SECTOR_SIZE)
    const bytes = new Uint8Array(storedLength(marker))
    bytes.set(sector)
    await this.#stream.read(bytes.subarray(SECTOR_SIZE), name)
    return {
      number,
      bytes: bytes.subarray(GRAIN_MARKER_SIZE, GRAIN_MARKER_SIZE + marker.length),
      name,
    }
  }

  async #readMetadata({ type, sectors }: Metadata, offset: number): Promise<void> {
    const name = `${this.#what}: marker at ${hex(offset)}`
    const require = (label: string, length: number): number => {
      const expected = unitsFor(length, SECTOR_SIZE)
      if (sectors === BigInt(expected)) return expected * SECTOR_SIZE
      throw imageError(name, `a ${label} has ${expected} sectors, the marker says ${sectors}`)
    }
    const read = (length: number): Promise<Uint8Array> => readInPieces(this.#stream, length, name)
    const place = offset / SECTOR_SIZE + 1
    if (type === markerTypes.table) {
      // One for each that the disk needs: memory does not grow with what a sender repeats.
      if (this.#tables.size >= tableCountOf(this.#header)) {
        throw imageError(
          name,
          `more than ${this.#tables.size} grain tables came, the disk needs no more`,
        )
      }
      const bytes = await read(require('grain table', tableLength(this.#header)))
      this.#tables.set(place, numbersOf(bytes, this.#header.tableEntries))
    } else if (type === markerTypes.directory) {
      if (this.#directory !== undefined) throw imageError(name, 'a grain directory came before')
      const length = directoryLength(this.#header)
      const bytes = await read(require('grain directory', length))
      this.#directory = { offset: place * SECTOR_SIZE, entries: numbersOf(bytes, length / 4) }
    } else if (type === markerTypes.footer) {
      if (this.#footer !== undefined) throw imageError(name, 'a footer came before')
      const bytes = await read(require('footer', HEADER_SIZE))
      const label = `${this.#what}: footer at ${hex(place * SECTOR_SIZE)}`
      this.#footer = checkFooter(this.#header, parseHeader(bytes, label), label)
    } else throw imageError(name, `its type ${type} is not known`)
  }

  /** What came, and what tables, directory and footer say of it, must be the same. */
  #checkEnd(): void {
    const directory = this.#directory
    const footer = this.#footer
    if (footer === undefined) throw imageError(this.#what, 'it ends without its footer')
    if (directory?.offset !== footer.directoryOffset || directory === undefined) {
      const place = hex(footer.directoryOffset ?? 0)
      throw imageError(this.#what, `no grain directory came at ${place}, where the footer says`)
    }
    const twice = this.#came.findTwice()
    if (twice !== undefined) throw imageError(this.#what, `grain ${twice} came twice`)
    const { tableEntries } = this.#header
    let count = 0
    for (const [number, place] of directory.entries.entries()) {
      if (place === 0) continue
      const table = this.#tables.get(place)
      if (table === undefined) {
        const found = `no grain table came at ${hex(place * SECTOR_SIZE)}`
        throw imageError(this.#what, `${found}, where the directory says`)
      }
      count += this.#checkTable(table, number * tableEntries)
    }
    if (count === this.#came.count) return
    throw imageError(this.#what, `${this.#came.count} grains came, the tables name ${count}`)
  }

  /** How many grains it names, each of which came. */
  #checkTable(table: Uint32Array, first: number): number {
    let count = 0
    for (const [index, place] of table.entries()) {
      if (place === 0 || isZeroed(this.#footer!, place)) continue
      const grain = first + index
      if (!this.#came.isNext(grain, place)) {
        const found = `the table has grain ${grain} at ${hex(place * SECTOR_SIZE)}`
        throw imageError(this.#what, `${found}, where it did not come, or another came before`)
      }
      count += 1
    }
    return count
  }
}

/** Memory grows with what has come, not with the length that is expected. */
const readInPieces = async (
  stream: ForwardReader,
  length: number,
  name: string,
): Promise<Uint8Array> => {
  const pieces: Uint8Array[] = []
  for (let done = 0; done < length; done += pieceSize) {
    const piece = new Uint8Array(Math.min(pieceSize, length - done))
    await stream.read(piece, name)
    pieces.push(piece)
  }
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
}

const pieceSize = 256 * KiB

const numbersOf = (bytes: Uint8Array, count: number): Uint32Array => {
  const view = viewOf(bytes)
  return Uint32Array.from({ length: count }, (_, index) => view.getUint32(index * 4, true))
}
