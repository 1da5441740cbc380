// VHDX images written field by field, right or wrong, without the code under test but for its
// checksum.

import { crc32c } from '../../src/image/crc32c.ts'
import { viewOf } from '../../src/image/binary.ts'
import { KiB, MiB } from '../../src/units.ts'
import { fillPattern } from './disks.ts'

const guidOf = (text: string): Buffer => {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex')
  bytes.subarray(0, 4).reverse()
  bytes.subarray(4, 6).reverse()
  bytes.subarray(6, 8).reverse()
  return bytes
}

/** What the fields of a block say. */
export interface TestBlock {
  /** 0, 1, 2, 3, 6, 7. */
  readonly state: number
  /** Where in the file, in MiB; those of states 6 and 7 hold the pattern of their disk offset. */
  readonly place?: number
  /** Of state 7: the numbers of the sectors that are there. */
  readonly sectors?: readonly number[]
}

export interface VhdxOptions {
  readonly size: number
  readonly blocks: readonly TestBlock[]
  readonly blockSize?: number
  readonly logicalSectorSize?: number
  /** Where things stand, in MiB. */
  readonly metadataAt?: number
  readonly tableAt?: number
  /** Of the first group of blocks. */
  readonly bitmapAt?: number
  readonly parent?: Readonly<Record<string, string>>
  /** How many MiB the file has. */
  readonly length: number
}

export const testLogGuid = '1de0a1b2-aaaa-4bbb-8ccc-ddddeeeeffff'
export const testParentGuid = 'b04f8a52-1111-4222-8333-444455556666'
export const testDataGuid = '77777777-8888-4999-8aaa-bbbbccccdddd'

/** Where the fields of the newer header stand, for changes. */
export const newerHeaderAt = 128 * KiB

export const buildVhdx = (options: VhdxOptions): Buffer => {
  const { blockSize = MiB, metadataAt = 2, tableAt = 3 } = options
  const bytes = Buffer.alloc(options.length * MiB)
  bytes.write('vhdxfile', 'latin1')
  writeHeader(bytes, 64 * KiB, 7)
  writeHeader(bytes, newerHeaderAt, 8)
  for (const at of [192 * KiB, 256 * KiB]) writeRegions(bytes, at, metadataAt, tableAt)
  writeMetadata(bytes, metadataAt * MiB, { blockSize, ...options })
  writeTable(bytes, tableAt * MiB, { blockSize, ...options })
  for (const [block, { state, place = 0 }] of options.blocks.entries()) {
    if (state < 6) continue
    fillPattern(block * blockSize, bytes.subarray(place * MiB, place * MiB + blockSize))
  }
  return bytes
}

/** Sums up what stands at `at` again. */
export const seal = (bytes: Buffer, at: number, length: number): Buffer => {
  bytes.writeUInt32LE(0, at + 4)
  bytes.writeUInt32LE(crc32c(bytes.subarray(at, at + length)), at + 4)
  return bytes
}

const writeHeader = (bytes: Buffer, at: number, sequenceNumber: number): void => {
  bytes.write('head', at, 'latin1')
  bytes.writeBigUInt64LE(BigInt(sequenceNumber), at + 8)
  guidOf(testDataGuid).copy(bytes, at + 32)
  bytes.writeUInt16LE(1, at + 66)
  bytes.writeUInt32LE(MiB, at + 68)
  bytes.writeBigUInt64LE(BigInt(MiB), at + 72)
  seal(bytes, at, 4 * KiB)
}

const writeRegions = (bytes: Buffer, at: number, metadataAt: number, tableAt: number): void => {
  bytes.write('regi', at, 'latin1')
  const regions = [
    ['2dc27766-f623-4200-9d64-115e9bfd4a08', tableAt],
    ['8b7ca206-4790-4b9a-b8fe-575f050f886e', metadataAt],
  ] as const
  bytes.writeUInt32LE(regions.length, at + 8)
  for (const [index, [id, place]] of regions.entries()) {
    const entry = at + 16 + index * 32
    guidOf(id).copy(bytes, entry)
    bytes.writeBigUInt64LE(BigInt(place * MiB), entry + 16)
    bytes.writeUInt32LE(MiB, entry + 24)
    bytes.writeUInt32LE(1, entry + 28)
  }
  seal(bytes, at, 64 * KiB)
}

const uint32 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, index * 4)
  return bytes
}

const writeMetadata = (
  bytes: Buffer,
  at: number,
  options: VhdxOptions & { readonly blockSize: number },
): void => {
  const { size, blockSize, logicalSectorSize = 512, parent } = options
  const sizeBytes = Buffer.alloc(8)
  sizeBytes.writeBigUInt64LE(BigInt(size))
  const items: (readonly [string, Buffer])[] = [
    ['caa16737-fa36-4d43-b3b6-33f0aa44e76b', uint32(blockSize, parent === undefined ? 0 : 2)],
    ['2fa54224-cd1b-4876-b211-5dbed83bf4b8', sizeBytes],
    ['8141bf1d-a96f-4709-ba47-f233a8faab5f', uint32(logicalSectorSize)],
  ]
  if (parent !== undefined) {
    items.push(['a8d35f2d-b30b-454d-abf7-d3d84834ab0c', buildLocator(parent)])
  }
  bytes.write('metadata', at, 'latin1')
  bytes.writeUInt16LE(items.length, at + 10)
  let offset = 64 * KiB
  for (const [index, [id, content]] of items.entries()) {
    const entry = at + 32 + index * 32
    guidOf(id).copy(bytes, entry)
    bytes.writeUInt32LE(offset, entry + 16)
    bytes.writeUInt32LE(content.length, entry + 20)
    bytes.writeUInt32LE(4, entry + 24)
    content.copy(bytes, at + offset)
    offset += 4 * KiB
  }
}

/** A parent locator of these keys and values. */
export const buildLocator = (values: Readonly<Record<string, string>>): Buffer => {
  const pairs = Object.entries(values)
  const head = Buffer.alloc(20 + pairs.length * 12)
  guidOf('b04aefb7-d19e-4a81-b789-25b8e9445913').copy(head)
  head.writeUInt16LE(pairs.length, 18)
  const texts: Buffer[] = []
  let offset = head.length
  for (const [index, pair] of pairs.entries()) {
    for (const [part, text] of pair.entries()) {
      const encoded = Buffer.from(text, 'utf16le')
      head.writeUInt32LE(offset, 20 + index * 12 + part * 4)
      head.writeUInt16LE(encoded.length, 20 + index * 12 + 8 + part * 2)
      texts.push(encoded)
      offset += encoded.length
    }
  }
  return Buffer.concat([head, ...texts])
}

const writeTable = (
  bytes: Buffer,
  at: number,
  options: VhdxOptions & { readonly blockSize: number },
): void => {
  const { blocks, blockSize, logicalSectorSize = 512, bitmapAt } = options
  const ratio = (2 ** 23 * logicalSectorSize) / blockSize
  const view = viewOf(bytes)
  const set = (index: number, state: number, place: number): void =>
    view.setBigUint64(at + index * 8, BigInt(place) * BigInt(MiB) + BigInt(state), true)
  for (const [block, { state, place = 0, sectors = [] }] of blocks.entries()) {
    set(block + Math.floor(block / ratio), state, place)
    if (bitmapAt === undefined) continue
    for (const sector of sectors) {
      const bit = block * (blockSize / logicalSectorSize) + sector
      bytes[bitmapAt * MiB + (bit >>> 3)]! |= 1 << (bit & 7)
    }
  }
  if (bitmapAt !== undefined) set(ratio, 6, bitmapAt)
}

/** A sector to write, or a stretch to zero. */
export type LogUpdate =
  | { readonly offset: number; readonly sector: Uint8Array }
  | { readonly offset: number; readonly zeros: number }

export interface TestLogEntry {
  readonly sequenceNumber: number
  /** Of the oldest entry that counts, where it begins in the log. */
  readonly tail: number
  readonly updates: readonly LogUpdate[]
  readonly fileSize: number
  readonly guid?: string
}

/** An entry, to be placed in the log. */
export const buildLogEntry = (entry: TestLogEntry): Buffer => {
  const { sequenceNumber, tail, updates, fileSize, guid = testLogGuid } = entry
  const sectors = updates.flatMap((update) => ('sector' in update ? [update.sector] : []))
  const head = Buffer.alloc(Math.ceil((64 + updates.length * 32) / (4 * KiB)) * 4 * KiB)
  const bytes = Buffer.concat([head, Buffer.alloc(sectors.length * 4 * KiB)])
  const sequence = BigInt(sequenceNumber)
  bytes.write('loge', 'latin1')
  bytes.writeUInt32LE(bytes.length, 8)
  bytes.writeUInt32LE(tail, 12)
  bytes.writeBigUInt64LE(sequence, 16)
  bytes.writeUInt32LE(updates.length, 24)
  guidOf(guid).copy(bytes, 32)
  bytes.writeBigUInt64LE(BigInt(fileSize), 48)
  bytes.writeBigUInt64LE(BigInt(fileSize), 56)
  for (const [index, update] of updates.entries()) {
    const at = 64 + index * 32
    bytes.write('sector' in update ? 'desc' : 'zero', at, 'latin1')
    bytes.writeBigUInt64LE(BigInt(update.offset), at + 16)
    bytes.writeBigUInt64LE(sequence, at + 24)
    if ('sector' in update) {
      bytes.set(update.sector.subarray(4092), at + 4)
      bytes.set(update.sector.subarray(0, 8), at + 8)
    } else bytes.writeBigUInt64LE(BigInt(update.zeros), at + 8)
  }
  for (const [index, sector] of sectors.entries()) {
    const at = head.length + index * 4 * KiB
    bytes.set(sector, at)
    bytes.write('data', at, 'latin1')
    bytes.writeUInt32LE(Number(sequence >> 32n), at + 4)
    bytes.writeUInt32LE(Number(sequence & 0xffffffffn), at + 4092)
  }
  return seal(bytes, 0, bytes.length)
}

/** The image with these entries in the log at 1 MiB, which its newer header names. */
export const withLog = (image: Buffer, entries: readonly (readonly [number, Buffer])[]): Buffer => {
  const bytes = Buffer.from(image)
  for (const [offset, entry] of entries) {
    for (let at = 0; at < entry.length; at += 4 * KiB) {
      entry.copy(bytes, MiB + ((offset + at) % MiB), at, at + 4 * KiB)
    }
  }
  guidOf(testLogGuid).copy(bytes, newerHeaderAt + 48)
  return seal(bytes, newerHeaderAt, 4 * KiB)
}
