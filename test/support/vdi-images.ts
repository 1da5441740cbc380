// VDI images written field by field, right or wrong, without the code under test.

import { viewOf } from '../../src/image/binary.ts'
import { MiB } from '../../src/units.ts'
import { fillPattern } from './disks.ts'

/** Where fields stand that tests change. */
export const vdiFields = {
  signature: 64,
  version: 68,
  headerLength: 72,
  imageType: 76,
  mapOffset: 340,
  dataOffset: 344,
  diskSize: 368,
  blockSize: 376,
  blockExtraSize: 380,
  blockCount: 384,
  allocatedCount: 388,
  linkUuid: 424,
  parentUuid: 440,
} as const

export interface VdiOptions {
  readonly size: number
  /** The map; those that are indexes have the pattern of their disk offset as data. */
  readonly entries: readonly number[]
  readonly blockSize?: number
  readonly mapOffset?: number
  readonly dataOffset?: number
  readonly allocatedCount?: number
  readonly imageType?: number
}

/** Before the blocks, and the whole. */
export const buildVdi = ({
  size,
  entries,
  blockSize = MiB,
  mapOffset = 512,
  dataOffset = 4096,
  allocatedCount = entries.filter((entry) => entry < 0xfffffffe).length,
  imageType = 1,
}: VdiOptions): Buffer => {
  const bytes = Buffer.alloc(dataOffset + allocatedCount * blockSize)
  const view = viewOf(bytes)
  bytes.write('<<< any text >>>\n')
  view.setUint32(vdiFields.signature, 0xbeda107f, true)
  view.setUint32(vdiFields.version, 0x00010001, true)
  view.setUint32(vdiFields.headerLength, 0x180, true)
  view.setUint32(vdiFields.imageType, imageType, true)
  view.setUint32(vdiFields.mapOffset, mapOffset, true)
  view.setUint32(vdiFields.dataOffset, dataOffset, true)
  view.setBigUint64(vdiFields.diskSize, BigInt(size), true)
  view.setUint32(vdiFields.blockSize, blockSize, true)
  view.setUint32(vdiFields.blockCount, entries.length, true)
  view.setUint32(vdiFields.allocatedCount, allocatedCount, true)
  bytes.write('5eed5eed5eed4eed8eed5eed5eed5eed', 392, 'hex')
  for (const [block, entry] of entries.entries()) {
    view.setUint32(mapOffset + block * 4, entry, true)
    if (entry >= allocatedCount) continue
    const at = dataOffset + entry * blockSize
    fillPattern(block * blockSize, bytes.subarray(at, at + blockSize))
  }
  return bytes
}

/** The same bytes with one field changed. */
export const withField = (
  bytes: Uint8Array,
  name: keyof typeof vdiFields,
  value: number | bigint,
): Buffer => {
  const changed = Buffer.from(bytes)
  if (typeof value === 'bigint') changed.writeBigUInt64LE(value, vdiFields[name])
  else changed.writeUInt32LE(value, vdiFields[name])
  return changed
}
