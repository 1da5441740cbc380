// What a streamOptimized VMDK has beside its grains: the head, markers, tables as numbers, and the
// header again as its footer. Used by encode.ts and plan-stored.ts.

import { viewOf } from '../../image/binary.ts'
import { alignUp, SECTOR_SIZE } from '../../units.ts'
import type { ImageIdentity } from '../format.ts'
import {
  AT_END,
  flags,
  GRAIN_MARKER_SIZE,
  WRITTEN_DESCRIPTOR_SECTORS,
  WRITTEN_GRAIN_SIZE,
} from './constants.ts'
import { encodeDescriptor } from './descriptor.ts'
import { encodeHeader } from './header.ts'

const grainSectors = WRITTEN_GRAIN_SIZE / SECTOR_SIZE

/** Header, descriptor, and zeros, in sectors. */
export const STREAM_OVERHEAD = grainSectors

/**
 * All that comes before the grains: `STREAM_OVERHEAD` sectors.
 * @param size of the disk, in bytes
 */
export const streamHead = (size: number, identity: ImageIdentity): Uint8Array => {
  const head = new Uint8Array(STREAM_OVERHEAD * SECTOR_SIZE)
  const header = streamHeader(size, AT_END)
  head.set(header)
  head.set(encodeDescriptor('streamOptimized', size, identity), header.length)
  return head
}

/**
 * The header, or the footer.
 * @param directory its sector, which only the footer tells
 */
export const streamHeader = (virtualSize: number, directory: bigint): Uint8Array =>
  encodeHeader({
    version: 3,
    flags: flags.newlineTest | flags.compressed | flags.markers,
    virtualSize,
    descriptorSectors: directory === AT_END ? WRITTEN_DESCRIPTOR_SECTORS : 0,
    redundantDirectory: 0,
    directory,
    overhead: STREAM_OVERHEAD,
    grainSectors,
  })

/** In bytes, little-endian. */
export const numbers = (values: Uint32Array): Uint8Array => {
  const bytes = new Uint8Array(values.length * 4)
  const view = viewOf(bytes)
  for (const [index, value] of values.entries()) view.setUint32(index * 4, value, true)
  return bytes
}

/** A marker that says what follows, and that, up to the next sector. */
export const marked = (type: number, content: Uint8Array): Uint8Array => {
  const length = alignUp(content.length, SECTOR_SIZE)
  const bytes = new Uint8Array(SECTOR_SIZE + length)
  const view = viewOf(bytes)
  view.setBigUint64(0, BigInt(length / SECTOR_SIZE), true)
  view.setUint32(GRAIN_MARKER_SIZE, type, true)
  bytes.set(content, SECTOR_SIZE)
  return bytes
}
