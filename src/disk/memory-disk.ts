// A disk in memory, sector by sector: the smallest Disk and DiskWriter, and the model that tests
// compare others with. Memory grows with what is written.

import { alignDown, SECTOR_SIZE } from '../units.ts'
import type { Disk, DiskWriter } from './disk.ts'
import { rangeWithin, throwIfAborted } from './disk.ts'
import type { Extent, ExtentKind } from './extents.ts'
import { clip, coalesce } from './extents.ts'

const zeroSector = new Uint8Array(SECTOR_SIZE)

/** An empty disk of `size` bytes, all hole. */
export const createMemoryDisk = (size: number): Disk & DiskWriter => {
  const sectors = new Map<number, Uint8Array>()

  const kindOf = (sector: Uint8Array | undefined): ExtentKind => {
    if (sector === undefined) return 'hole'
    return sector === zeroSector ? 'zero' : 'data'
  }

  async function* sectorExtents(): AsyncGenerator<Extent, void, undefined> {
    let end = 0
    for (const index of [...sectors.keys()].toSorted((a, b) => a - b)) {
      const offset = index * SECTOR_SIZE
      yield { offset: end, length: offset - end, kind: 'hole' }
      yield { offset, length: SECTOR_SIZE, kind: kindOf(sectors.get(index)) }
      end = offset + SECTOR_SIZE
    }
    yield { offset: end, length: size - end, kind: 'hole' }
  }

  const eachSector = (offset: number, length: number, visit: (index: number) => void): void => {
    if (offset % SECTOR_SIZE !== 0 || length % SECTOR_SIZE !== 0) {
      throw new RangeError(`Write of ${length} bytes at ${offset} is not in whole sectors`)
    }
    rangeWithin(size, { offset, length })
    for (let at = offset; at < offset + length; at += SECTOR_SIZE) visit(at / SECTOR_SIZE)
  }

  return {
    size,
    async *extents(range) {
      const asked = rangeWithin(size, range)
      for await (const extent of coalesce(sectorExtents())) {
        const inside = clip(extent, asked)
        if (inside !== undefined) yield inside
      }
    },
    async read(offset, target, signal) {
      throwIfAborted(signal)
      rangeWithin(size, { offset, length: target.length })
      for (let done = 0; done < target.length;) {
        const start = alignDown(offset + done, SECTOR_SIZE)
        const sector = sectors.get(start / SECTOR_SIZE) ?? zeroSector
        const part = sector.subarray(offset + done - start).subarray(0, target.length - done)
        target.set(part, done)
        done += part.length
      }
    },
    async write(offset, source, signal) {
      throwIfAborted(signal)
      eachSector(offset, source.length, (index) => {
        const start = index * SECTOR_SIZE - offset
        // Not slice(): on a Buffer that would be a view.
        sectors.set(index, new Uint8Array(source.subarray(start, start + SECTOR_SIZE)))
      })
    },
    async zero(offset, length, signal) {
      throwIfAborted(signal)
      eachSector(offset, length, (index) => sectors.set(index, zeroSector))
    },
    async close() {},
  }
}
