// VHD files put together by hand, byte by byte from the specification and apart from the code under
// test: odd ones, broken ones, and a check of whole files by the rules of XenServer's vhd-util.

import { fillPattern } from './disks.ts'

export interface BuiltBlock {
  readonly block: number
  /** Sectors whose bits are set, as [from, to) pairs. Default: all of the block. */
  readonly written?: readonly (readonly [number, number])[]
  /** Bytes left free before the block. */
  readonly gap?: number
}

export interface VhdRecipe {
  /** Of the footer's current_size. */
  readonly size: number
  readonly diskType?: number
  readonly creator?: string
  readonly creatorVersion?: number
  /** Cylinders, heads, sectors. Default: the largest, which means nothing. */
  readonly geometry?: readonly [number, number, number]
  readonly uuid?: string
  readonly blockSize?: number
  /** Default: as many as the size needs. */
  readonly tableEntries?: number
  readonly headerOffset?: number
  readonly tableOffset?: number
  /** In the order of the file. */
  readonly blocks?: readonly BuiltBlock[]
  /** Bytes between the last block and the footer. */
  readonly tail?: number
  /** Bytes of the closing footer: 512 or 511. */
  readonly footerSize?: number
  /** Bits of a batmap after the table; its checksum is made right. */
  readonly batmap?: Uint8Array
  readonly batmapVersion?: number
  /** Parent locators: platform, offset, length. */
  readonly locators?: readonly (readonly [string, number, number])[]
}

const builtUuid = '00112233445566778899aabbccddeeff'

/** What stands in sectors that are not written: it must never be seen. */
const staleByte = 0xee

/** The footer as 512 bytes. */
export const buildFooter = (recipe: VhdRecipe): Uint8Array => {
  const bytes = Buffer.alloc(512)
  const [cylinders, heads, sectors] = recipe.geometry ?? [65_535, 16, 255]
  bytes.write('conectix', 0, 'latin1')
  bytes.writeUInt32BE(2, 8)
  bytes.writeUInt32BE(0x00010000, 12)
  const isFixed = recipe.diskType === 2
  bytes.writeBigUInt64BE(isFixed ? 0xffffffffffffffffn : BigInt(recipe.headerOffset ?? 512), 16)
  bytes.writeUInt32BE(1000, 24)
  bytes.write(recipe.creator ?? 'win ', 28, 4, 'latin1')
  bytes.writeUInt32BE(recipe.creatorVersion ?? 0x000a0000, 32)
  bytes.write('Wi2k', 36, 'latin1')
  bytes.writeBigUInt64BE(BigInt(recipe.size), 40)
  bytes.writeBigUInt64BE(BigInt(recipe.size), 48)
  bytes.writeUInt16BE(cylinders, 56)
  bytes.writeUInt8(heads, 58)
  bytes.writeUInt8(sectors, 59)
  bytes.writeUInt32BE(recipe.diskType ?? 3, 60)
  bytes.write((recipe.uuid ?? builtUuid).replaceAll('-', ''), 68, 'hex')
  sealFooter(bytes, 0)
  return bytes
}

const buildHeader = (recipe: VhdRecipe, tableOffset: number): Uint8Array => {
  const bytes = Buffer.alloc(1024)
  const blockSize = recipe.blockSize ?? 2 << 20
  bytes.write('cxsparse', 0, 'latin1')
  bytes.fill(0xff, 8, 16)
  bytes.writeBigUInt64BE(BigInt(tableOffset), 16)
  bytes.writeUInt32BE(0x00010000, 24)
  bytes.writeUInt32BE(recipe.tableEntries ?? Math.ceil(recipe.size / blockSize), 28)
  bytes.writeUInt32BE(blockSize, 32)
  for (const [index, [platform, offset, length]] of (recipe.locators ?? []).entries()) {
    const at = 576 + index * 24
    bytes.write(platform, at, 4, 'latin1')
    bytes.writeUInt32BE(512, at + 4)
    bytes.writeUInt32BE(length, at + 8)
    bytes.writeBigUInt64BE(BigInt(offset), at + 16)
  }
  sealHeader(bytes, 0)
  return bytes
}

export interface BuiltVhd {
  readonly bytes: Buffer
  readonly headerOffset: number
  readonly tableOffset: number
  /** Of the batmap's header, where there is one. */
  readonly batmapOffset: number
  /** Of each block's bitmap, in the order of the recipe. */
  readonly blockOffsets: readonly number[]
  readonly footerOffset: number
}

/** A dynamic or differencing file; data is the pattern of createPatternDisk. */
export const buildVhd = (recipe: VhdRecipe): BuiltVhd => {
  const { blocks = [], tail = 0, footerSize = 512, headerOffset = 512 } = recipe
  const blockSize = recipe.blockSize ?? 2 << 20
  const tableEntries = recipe.tableEntries ?? Math.ceil(recipe.size / blockSize)
  const tableOffset = recipe.tableOffset ?? headerOffset + 1024
  const batmapOffset = tableOffset + roundUp(tableEntries * 4)
  const bitmapSize = roundUp(blockSize / 4096)
  let end = Math.max(batmapOffset, headerOffset + 1024)
  if (recipe.batmap !== undefined) end = batmapOffset + 512 + recipe.batmap.length
  const blockOffsets = blocks.map(({ gap = 0 }) => {
    const offset = end + gap
    end = offset + bitmapSize + blockSize
    return offset
  })
  const footerOffset = end + tail
  const bytes = Buffer.alloc(footerOffset + footerSize, staleByte)
  const footer = buildFooter(recipe)
  bytes.set(footer)
  bytes.set(buildHeader(recipe, tableOffset), headerOffset)
  bytes.fill(0xff, tableOffset, batmapOffset)
  if (recipe.batmap !== undefined) {
    bytes.fill(0, batmapOffset, batmapOffset + 512)
    bytes.write('tdbatmap', batmapOffset, 'latin1')
    bytes.writeBigUInt64BE(BigInt(batmapOffset + 512), batmapOffset + 8)
    bytes.writeUInt32BE(recipe.batmap.length / 512, batmapOffset + 16)
    bytes.writeUInt32BE(recipe.batmapVersion ?? 0x00010002, batmapOffset + 20)
    bytes.writeUInt32BE(onesComplement(recipe.batmap), batmapOffset + 24)
    bytes.set(recipe.batmap, batmapOffset + 512)
  }
  for (const [index, { block, written = [[0, blockSize / 512]] }] of blocks.entries()) {
    const offset = blockOffsets[index]!
    bytes.writeUInt32BE(offset / 512, tableOffset + block * 4)
    bytes.fill(0, offset, offset + bitmapSize)
    for (const [from, to] of written) {
      for (let sector = from; sector < to; sector += 1) {
        bytes[offset + (sector >> 3)]! |= 0x80 >> (sector & 7)
      }
      const start = offset + bitmapSize
      fillPattern(
        block * blockSize + from * 512,
        bytes.subarray(start + from * 512, start + to * 512),
      )
    }
  }
  bytes.set(footer.subarray(0, footerSize), footerOffset)
  return { bytes, headerOffset, tableOffset, batmapOffset, blockOffsets, footerOffset }
}

/** A fixed file: the pattern, then the footer. */
export const buildFixedVhd = (recipe: VhdRecipe, dataSize = recipe.size): Buffer => {
  const bytes = Buffer.alloc(dataSize + (recipe.footerSize ?? 512))
  fillPattern(0, bytes.subarray(0, dataSize))
  const footer = buildFooter({ ...recipe, diskType: 2 })
  bytes.set(footer.subarray(0, recipe.footerSize ?? 512), dataSize)
  return bytes
}

/** Makes the checksum of the footer at `offset` right, after a change to it. */
export const sealFooter = (bytes: Buffer, offset: number): void => {
  bytes.writeUInt32BE(0, offset + 64)
  bytes.writeUInt32BE(onesComplement(bytes.subarray(offset, offset + 512)), offset + 64)
}

/** The same for the header at `offset`. */
export const sealHeader = (bytes: Buffer, offset: number): void => {
  bytes.writeUInt32BE(0, offset + 36)
  bytes.writeUInt32BE(onesComplement(bytes.subarray(offset, offset + 1024)), offset + 36)
}

export const onesComplement = (bytes: Uint8Array): number =>
  ~bytes.reduce((sum, byte) => sum + byte, 0) >>> 0

const roundUp = (value: number): number => Math.ceil(value / 512) * 512
