// The rules by which XenServer's vhd-util accepts a VHD, checked on the bytes: what `vhd-util
// check` and `check -b` complain of, and where `coalesce` would fail, for files that we write. The
// tool itself is not in Debian.

import { isZero } from '../../src/disk/zero.ts'
import { onesComplement } from './vhd-images.ts'
import { coalesceProblems } from './vhd-util-coalesce.ts'

const seconds2000 = 946_684_800
const unused = 0xffffffff

/** What vhd-util would say; empty for a file that it takes. Dynamic and differencing files only. */
export const vhdUtilProblems = (file: Uint8Array): string[] => {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
  return [
    ...footerProblems(bytes),
    ...headerProblems(bytes),
    ...tableProblems(bytes),
    ...batmapProblems(bytes),
    ...locatorProblems(bytes),
    ...coalesceProblems(bytes),
  ]
}

export const expectVhdUtilTakes = (file: Uint8Array): void => {
  const problems = vhdUtilProblems(file)
  if (problems.length > 0) throw new Error(`vhd-util would refuse this: ${problems.join(', ')}`)
}

const problemsOf = (rules: Record<string, boolean>): string[] =>
  Object.entries(rules).flatMap(([problem, holds]) => (holds ? [] : [problem]))

const footerProblems = (bytes: Buffer): string[] => {
  const footer = bytes.subarray(bytes.length - 512)
  const size = Number(footer.readBigUInt64BE(48))
  const now = Date.now() / 1000 - seconds2000
  return problemsOf({
    'footer cookie': footer.toString('latin1', 0, 8) === 'conectix',
    'footer checksum': footer.readUInt32BE(64) === checksumWithoutField(footer, 64),
    'reserved feature': footer.readUInt32BE(8) === 2,
    'footer version': footer.readUInt32BE(12) === 0x00010000,
    'creation time in future': footer.readUInt32BE(24) <= now + 1800,
    'unsupported tap creator version':
      footer.toString('latin1', 28, 32) === 'tap\0' && footer.readUInt32BE(32) === 0x00010003,
    'geometry too large': footer.readUInt32BE(56) <= chsOf(size),
    'disk type': [3, 4].includes(footer.readUInt32BE(60)),
    'saved or hidden': footer.readUInt16BE(84) === 0,
    'reserved bits': footer.subarray(86).every((byte) => byte === 0),
    'null uuid': footer.subarray(68, 84).some((byte) => byte !== 0),
    'primary and backup footers do not match': footer.equals(bytes.subarray(0, 512)),
  })
}

// The algorithm of the specification as vhd-util has it, packed as it compares it.
const chsOf = (size: number): number => {
  const sectors = Math.min(size / 512, 65_535 * 16 * 255)
  let spt = 17
  let heads = 16
  let tracks = Math.trunc(sectors / spt)
  if (sectors >= 65_535 * 16 * 63) {
    spt = 255
    tracks = Math.trunc(sectors / spt)
  } else {
    heads = Math.max(4, Math.trunc((tracks + 1023) / 1024))
    if (tracks >= heads * 1024 || heads > 16) {
      spt = 31
      heads = 16
      tracks = Math.trunc(sectors / spt)
    }
    if (tracks >= heads * 1024) {
      spt = 63
      heads = 16
      tracks = Math.trunc(sectors / spt)
    }
  }
  return Math.trunc(tracks / heads) * 65_536 + heads * 256 + spt
}

const headerProblems = (bytes: Buffer): string[] => {
  const header = bytes.subarray(512, 1536)
  const end = bytes.length - 512
  const tableOffset = Number(header.readBigUInt64BE(16))
  const parent = [header.subarray(40, 60), header.subarray(64, 576), header.subarray(576, 768)]
  const isDynamic = bytes.readUInt32BE(60) === 3
  return problemsOf({
    'header offset': bytes.readBigUInt64BE(16) === 512n,
    'header cookie': header.toString('latin1', 0, 8) === 'cxsparse',
    'header checksum': header.readUInt32BE(36) === checksumWithoutField(header, 36),
    'header version': header.readUInt32BE(24) === 0x00010000,
    'header data offset': header.subarray(8, 16).every((byte) => byte === 0xff),
    'table offset': tableOffset % 512 === 0 && tableOffset + header.readUInt32BE(28) * 4 <= end,
    'block size': header.readUInt32BE(32) === 2 << 20,
    'reserved bits of the header': [header.subarray(60, 64), header.subarray(768)].every(
      (reserved) => reserved.every((byte) => byte === 0),
    ),
    'a dynamic disk with a parent':
      !isDynamic || parent.every((field) => field.every((byte) => byte === 0)),
  })
}

const tableOf = (bytes: Buffer) => {
  const tableOffset = Number(bytes.readBigUInt64BE(512 + 16))
  const count = bytes.readUInt32BE(512 + 28)
  const entries = Array.from({ length: count }, (_, index) =>
    bytes.readUInt32BE(tableOffset + index * 4),
  )
  const batmapOffset = tableOffset + Math.ceil((count * 4) / 512) * 512
  const batmapEnd = batmapOffset + 512 + bytes.readUInt32BE(batmapOffset + 16) * 512
  return { entries, batmapOffset, batmapEnd }
}

const tableProblems = (bytes: Buffer): string[] => {
  const { entries, batmapEnd } = tableOf(bytes)
  const problems: string[] = []
  const used = entries.flatMap((sector, block) => (sector === unused ? [] : [{ sector, block }]))
  const ordered = used.toSorted((one, other) => one.sector - other.sector)
  let end =
    Math.max(batmapEnd, ...locatorsOf(bytes).map(({ offset, space }) => offset + space)) / 512
  for (const { sector, block } of ordered) {
    if (sector < end) problems.push(`block ${block} clobbers what is before it`)
    end = sector + 4097
    if (end * 512 > bytes.length - 512) problems.push(`block ${block} clobbers the footer`)
    problems.push(...staleSectors(bytes, sector, block))
  }
  return problems
}

const staleSectors = (bytes: Buffer, sector: number, block: number): string[] => {
  const bitmap = bytes.subarray(sector * 512, sector * 512 + 512)
  const problems: string[] = []
  for (let index = 0; index < 4096; index += 1) {
    if ((bitmap[index >> 3]! & (0x80 >> (index & 7))) !== 0) continue
    const start = (sector + 1 + index) * 512
    if (!isZero(bytes.subarray(start, start + 512))) {
      problems.push(`sector ${index} of block ${block} has data where the bitmap is clear`)
    }
  }
  return problems
}

const batmapProblems = (bytes: Buffer): string[] => {
  const { entries, batmapOffset, batmapEnd } = tableOf(bytes)
  const header = bytes.subarray(batmapOffset, batmapOffset + 512)
  const bitsOffset = Number(header.readBigUInt64BE(8))
  const size = header.readUInt32BE(16) * 512
  const bits = bytes.subarray(bitsOffset, bitsOffset + size)
  const wholeGroups = Math.trunc(Number(bytes.readBigUInt64BE(48)) / (16 << 20))
  const summed = Math.max(512, Math.ceil(wholeGroups / 512) * 512)
  const isSet = (block: number): boolean => (bits[block >> 3]! & (0x80 >> (block & 7))) !== 0
  return problemsOf({
    'batmap cookie': header.toString('latin1', 0, 8) === 'tdbatmap',
    'batmap version': header.readUInt32BE(20) === 0x00010002,
    'batmap size': size * 8 >= entries.length && size >= summed,
    'batmap offset': bitsOffset === batmapOffset + 512 && batmapEnd <= bytes.length - 512,
    // New versions sum what they need of it, old ones all.
    'batmap checksum': header.readUInt32BE(24) === onesComplement(bits.subarray(0, summed)),
    'batmap checksum of all': header.readUInt32BE(24) === onesComplement(bits),
    'batmap shows an unallocated block full': entries.every(
      (sector, block) => sector !== unused || !isSet(block),
    ),
    'batmap shows a block full that is not': entries.every(
      (sector, block) =>
        sector === unused ||
        !isSet(block) ||
        bytes.subarray(sector * 512, sector * 512 + 512).every((byte) => byte === 0xff),
    ),
  })
}

interface Locator {
  readonly platform: string
  readonly space: number
  readonly length: number
  readonly offset: number
}

const locatorsOf = (bytes: Buffer): Locator[] =>
  Array.from({ length: 8 }, (_, index) => 512 + 576 + index * 24).flatMap((at) => {
    if (bytes.readUInt32BE(at) === 0) return []
    return [
      {
        platform: bytes.toString('latin1', at, at + 4),
        space: bytes.readUInt32BE(at + 4),
        length: bytes.readUInt32BE(at + 8),
        offset: Number(bytes.readBigUInt64BE(at + 16)),
      },
    ]
  })

const locatorProblems = (bytes: Buffer): string[] => {
  if (bytes.readUInt32BE(60) !== 4) return []
  const name = parentNameOf(bytes)
  const platforms = locatorsOf(bytes).map(({ platform }) => platform)
  const problems = platforms.join() === 'W2ru,W2ku,MacX' ? [] : [`platforms ${platforms.join()}`]
  for (const { platform, space, length, offset } of locatorsOf(bytes)) {
    const path = decodePath(platform, bytes.subarray(offset, offset + length))
    if (path !== `./${name}`) problems.push(`locator ${platform} says ${path}, not ${name}`)
    // Read with O_DIRECT.
    if (offset % 512 !== 0 || space !== 512) problems.push(`locator ${platform} is not a sector`)
  }
  return problems
}

const decodePath = (platform: string, bytes: Buffer): string =>
  platform === 'MacX'
    ? bytes.toString('utf8').replace(/^file:\/\//, '')
    : bytes.toString('utf16le').replaceAll('\\', '/')

/** The parent's name in the header: UTF-16, most significant byte first. */
export const parentNameOf = (file: Uint8Array): string =>
  Buffer.from(file.subarray(512 + 64, 512 + 576))
    .swap16()
    .toString('utf16le')
    .replace(/\0+$/, '')

const checksumWithoutField = (bytes: Buffer, at: number): number => {
  const copy = Buffer.from(bytes)
  copy.writeUInt32BE(0, at)
  return onesComplement(copy)
}
