// Compressed grains: what one holds, exactly. One by itself is inflated by Node's zlib in the
// threads of libuv, those of a stream in batches.

import { inflate } from 'node:zlib'
import { imageError } from '../../errors.ts'
import { viewOf } from '../../image/binary.ts'
import { receivedBytes } from '../../image/young-garbage.ts'
import { alignUp, SECTOR_SIZE } from '../../units.ts'
import type { Decompressed, Decompressor } from '../decompression/decompressor.ts'
import { GRAIN_MARKER_SIZE } from './constants.ts'

/** What stands before the bytes of a grain. */
interface GrainMarker {
  /** The first sector of the disk that it holds. */
  readonly sector: bigint
  /** Of the bytes that follow. */
  readonly length: number
}

export const parseMarker = (bytes: Uint8Array): GrainMarker => {
  const view = viewOf(bytes)
  return { sector: view.getBigUint64(0, true), length: view.getUint32(8, true) }
}

/** A grain that does not compress grows by a few bytes; more than this is no grain. */
export const longestGrain = (grainSize: number): number => grainSize + grainSize / 8 + SECTOR_SIZE

/** Of a grain in the file, with its marker, up to the next sector. */
export const storedLength = ({ length }: GrainMarker): number =>
  alignUp(GRAIN_MARKER_SIZE + length, SECTOR_SIZE)

/**
 * @throws AppError IMPORT_ERROR_GENERIC for the marker of another grain, or a length that none has
 */
export const requireMarker = (
  { sector, length }: GrainMarker,
  grain: number,
  grainSize: number,
  name: string,
): void => {
  const expected = BigInt(grain) * BigInt(grainSize / SECTOR_SIZE)
  if (sector !== expected) {
    throw imageError(name, `its marker says sector ${sector}, the table says ${expected}`)
  }
  if (length === 0 || length > longestGrain(grainSize)) {
    throw imageError(name, `its marker says ${length} bytes, a grain has ${grainSize}`)
  }
}

/**
 * One grain, whole.
 * @param least so many bytes at least: the last grain may end with the disk
 * @param name of the grain, for the message
 * @throws AppError IMPORT_ERROR_GENERIC for what is no zlib stream of a grain
 */
export const inflateGrain = (
  bytes: Uint8Array,
  { grainSize, least }: { readonly grainSize: number; readonly least: number },
  name: string,
): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    inflate(bytes, { maxOutputLength: grainSize, chunkSize: grainSize }, (error, content) => {
      if (error !== null) return reject(imageError(name, `it cannot be read: ${error.message}`))
      receivedBytes(content.length)
      if (content.length >= least) return resolve(content)
      return reject(imageError(name, `it holds ${content.length} bytes, must hold ${least}`))
    })
  })

/** The same for one of a stream. */
export const inflateWith = async (
  decompressor: Decompressor,
  bytes: Uint8Array,
  least: number,
  name: string,
): Promise<Decompressed> => {
  const decompressed = await decompressor.begin(bytes).catch((error: Error) => {
    throw imageError(name, `it cannot be read: ${error.message}`)
  })
  const { length } = decompressed.content
  if (length >= least) return decompressed
  throw imageError(name, `it holds ${length} bytes, must hold ${least}`)
}
