// The bitmaps of a differencing VHDX: a bit for each logical sector, least significant first, set
// where the sector is in this image and not in its parent.

import { imageError } from '../../errors.ts'
import type { Image } from '../../image/image.ts'
import { MiB } from '../../units.ts'
import { blocksPerBitmap } from './block-table.ts'
import type { Structure } from './structure.ts'

/** Bytes of a block that are there, or not. */
interface SectorRun {
  readonly from: number
  /** Not included. */
  readonly to: number
  readonly isSet: boolean
}

interface BitmapReader {
  /**
   * Which sectors of a block that is there in part lie in this image, in the bytes `from` up to
   * (not including) `to` of it.
   */
  runsBetween(block: number, from: number, to: number): Promise<Iterable<SectorRun>>
}

/** Keeps the bits of the block that was asked for last: reads go through a block in pieces. */
export const createBitmapReader = (
  image: Image,
  { metadata, table }: Pick<Structure, 'metadata' | 'table'>,
  what: string,
): BitmapReader => {
  const { blockSize, logicalSectorSize } = metadata
  const ratio = blocksPerBitmap(metadata)
  const bytesPerBlock = blockSize / logicalSectorSize / 8
  let last: { readonly block: number; readonly bits: Promise<Uint8Array> } | undefined

  const load = async (block: number): Promise<Uint8Array> => {
    const place = table.bitmapPlaces[Math.floor(block / ratio)]!
    if (place === 0) {
      throw imageError(what, `block ${block} is there in part, but has no bitmap`)
    }
    const bits = new Uint8Array(bytesPerBlock)
    await image.read(place * MiB + (block % ratio) * bytesPerBlock, bits)
    return bits
  }

  return {
    async runsBetween(block, from, to) {
      if (last?.block !== block) last = { block, bits: load(block) }
      return sectorRuns(await last.bits, { from, to }, logicalSectorSize)
    },
  }
}

/** Neighbouring sectors whose bits agree, clipped to the bytes that are asked for. */
function* sectorRuns(
  bits: Uint8Array,
  { from, to }: { readonly from: number; readonly to: number },
  sectorSize: number,
): Generator<SectorRun, void, undefined> {
  const isSetAt = (sector: number): boolean => ((bits[sector >>> 3]! >>> (sector & 7)) & 1) === 1
  const end = Math.ceil(to / sectorSize)
  for (let sector = Math.floor(from / sectorSize); sector < end;) {
    const start = sector
    const isSet = isSetAt(start)
    while (sector < end && isSetAt(sector) === isSet) sector += 1
    yield { from: Math.max(from, start * sectorSize), to: Math.min(to, sector * sectorSize), isSet }
  }
}
