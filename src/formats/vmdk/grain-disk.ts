// The disk that the grain tables of a VMDK describe. Compressed grains are kept for a while:
// readers come for a part of one, and come again for the rest.

import type { Disk } from '../../disk/disk.ts'
import type { ByteRange, Extent } from '../../disk/extents.ts'
import { PastEndError } from '../../errors.ts'
import { hex } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import { MiB, SECTOR_SIZE } from '../../units.ts'
import { createUnitDisk } from '../unit-disk.ts'
import { GRAIN_MARKER_SIZE } from './constants.ts'
import { inflateGrain, parseMarker, requireMarker } from './grain-content.ts'
import { isStored, isZeroed } from './grain-tables.ts'
import type { Structure } from './structure.ts'

/** Bytes of content that are kept, and at least so many grains. */
const capacity = 4 * MiB
const leastKept = 4

/** Owns and closes `image`. */
export const createGrainDisk = (image: Image, structure: Structure, what: string): Disk => {
  const { header, tables } = structure
  const { virtualSize: size, grainSize, tableEntries } = header
  const readCompressed = createCompressedReader(image, structure, what)

  const numbers = tables.numbers

  /** The grains of tables that hold something one by one, those between as one hole. */
  function* extentsBetween(from: number, to: number): Generator<Extent, void, undefined> {
    let next = numbers.findIndex((number) => (number + 1) * tableEntries > from)
    if (next < 0) next = numbers.length
    for (let grain = from; grain < to;) {
      const number = numbers[next] ?? Infinity
      const held = Math.min(to, number * tableEntries)
      if (held > grain) {
        yield { ...stretchOf(grain, held), kind: 'hole' }
        grain = held
      }
      const end = Math.min(to, (number + 1) * tableEntries)
      for (; grain < end; grain += 1) {
        const place = tables.get(grain)
        const unstored = isZeroed(header, place) ? 'zero' : 'hole'
        yield { ...stretchOf(grain, grain + 1), kind: isStored(header, place) ? 'data' : unstored }
      }
      next += 1
    }
  }

  const stretchOf = (from: number, to: number): ByteRange => ({
    offset: from * grainSize,
    length: Math.min(to * grainSize, size) - from * grainSize,
  })

  /** How many grains lie behind each other in the file, from this one on, up to `most`. */
  const neighbours = (grain: number, most: number): number => {
    const place = tables.get(grain)
    let count = 1
    while (
      count < most &&
      tables.get(grain + count) === place + (count * grainSize) / SECTOR_SIZE
    ) {
      count += 1
    }
    return count
  }

  const readPart = async (
    grain: number,
    inside: number,
    room: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<number> => {
    const place = tables.get(grain)
    const inGrain = room.subarray(0, grainSize - inside)
    if (!isStored(header, place)) {
      inGrain.fill(0)
      return inGrain.length
    }
    if (header.isCompressed) {
      const content = await readCompressed(grain)
      inGrain.set(content.subarray(inside, inside + inGrain.length))
      return inGrain.length
    }
    const count = neighbours(grain, Math.ceil((inside + room.length) / grainSize))
    const part = room.subarray(0, count * grainSize - inside)
    await image.read(place * SECTOR_SIZE + inside, part, signal)
    return part.length
  }

  return createUnitDisk({
    size,
    unitSize: grainSize,
    extentsBetween,
    readFrom: readPart,
    close: () => image.close(),
  })
}

/** Readers of one grain share the work; the caller must not change what it gets. */
const createCompressedReader = (
  image: Image,
  { header, tables }: Structure,
  what: string,
): ((grain: number) => Promise<Uint8Array>) => {
  const { grainSize, virtualSize } = header
  const maximum = Math.max(leastKept, Math.floor(capacity / grainSize))
  // In the order of last use: the first is the one to go.
  const kept = new Map<number, Promise<Uint8Array>>()

  const load = async (grain: number): Promise<Uint8Array> => {
    const offset = tables.get(grain) * SECTOR_SIZE
    const name = `${what}: grain ${grain} at ${hex(offset)}`
    const head = new Uint8Array(GRAIN_MARKER_SIZE)
    const marker = await readInside(offset, head, name).then(() => parseMarker(head))
    requireMarker(marker, grain, grainSize, name)
    const bytes = new Uint8Array(marker.length)
    await readInside(offset + GRAIN_MARKER_SIZE, bytes, name)
    const least = Math.min(grainSize, virtualSize - grain * grainSize)
    return inflateGrain(bytes, { grainSize, least }, name)
  }
  const readInside = async (offset: number, target: Uint8Array, name: string): Promise<void> => {
    if (offset + target.length > image.size) {
      throw new PastEndError(name, `it points past the end of the image, ${hex(image.size)}`)
    }
    // No signal: others may wait for this one when the reader that asked first is gone.
    await image.read(offset, target)
  }
  return (grain) => {
    const content = kept.get(grain) ?? load(grain)
    kept.delete(grain)
    kept.set(grain, content)
    content.catch(() => {
      if (kept.get(grain) === content) kept.delete(grain)
    })
    for (const oldest of kept.keys()) {
      if (kept.size <= maximum) break
      kept.delete(oldest)
    }
    return content
  }
}
