// The extensions between a QCOW2 header and the backing file name: read from and written into the
// first cluster. Types that are not known are passed over, as the specification wants it.

import { imageError } from '../../../errors.ts'
import { hex, viewOf } from '../../../image/binary.ts'
import { alignUp } from '../../../units.ts'
import type { FeatureKind } from './features.ts'
import { FEATURES } from './features.ts'

const types = {
  end: 0,
  backingFormat: 0xe2_79_2a_ca,
  featureNames: 0x68_03_f8_57,
  bitmaps: 0x23_85_28_75,
  // XCP-ng's own ("vate"): eight bytes, the first says whether the image is hidden.
  hidden: 0x76_61_74_65,
} as const

/** Type and length, u32 each, before the data of each extension. */
const extensionHeaderSize = 8

/** An entry of the feature name table: kind, bit, and 46 bytes of name, filled up with zeros. */
const featureEntrySize = 48
const featureKinds: readonly FeatureKind[] = ['incompatible', 'compatible', 'autoclear']

export interface HeaderExtensions {
  /** The image's own name of an incompatible bit, printable; undefined where it has none. */
  readonly incompatibleName: (bit: number) => string | undefined
  /** Number of bitmaps; 0 without the extension. */
  readonly bitmaps: number
  /** What the backing file is, in QEMU's words; undefined where the image does not say. */
  readonly backingFormat: string | undefined
  /** XCP-ng's mark of an image that is there only for those on top of it. */
  readonly isHidden: boolean
}

/**
 * Reads the extensions that lie in `cluster` between `from` (the header's length) and `to`.
 * @throws AppError IMPORT_ERROR_GENERIC where one leaves that room
 */
export const readHeaderExtensions = (
  cluster: Uint8Array,
  from: number,
  to: number,
  what: string,
): HeaderExtensions => {
  const view = viewOf(cluster)
  const names = new Map<number, string>()
  let bitmaps = 0
  let backingFormat: string | undefined
  let isHidden = false
  for (let at = from; at + extensionHeaderSize <= to;) {
    const type = view.getUint32(at)
    if (type === types.end) break
    const length = view.getUint32(at + 4)
    const start = at + extensionHeaderSize
    if (length > to - start) {
      throw imageError(
        what,
        `the header extension ${hex(type)} at ${at} has ${length} bytes, there is room for ${to - start}`,
      )
    }
    const content = cluster.subarray(start, start + length)
    if (type === types.featureNames) readFeatureNames(content, names)
    if (type === types.backingFormat) backingFormat = Buffer.from(content).toString('latin1')
    if (type === types.bitmaps && length >= 4) bitmaps = viewOf(content).getUint32(0)
    // XCP-ng's driver takes any byte but zero for the mark, and writes 1.
    if (type === types.hidden && length >= 1) isHidden = content[0] !== 0
    at = start + alignUp(length, 8)
  }
  return { incompatibleName: (bit) => names.get(bit), bitmaps, backingFormat, isHidden }
}

const readFeatureNames = (content: Uint8Array, names: Map<number, string>): void => {
  for (let at = 0; at + featureEntrySize <= content.length; at += featureEntrySize) {
    const entry = content.subarray(at, at + featureEntrySize)
    if (featureKinds[entry[0]!] !== 'incompatible') continue
    const [name = ''] = Buffer.from(entry.subarray(2)).toString('latin1').split('\0')
    const printable = name.replaceAll(/[^\x20-\x7e]/g, '?')
    if (printable !== '') names.set(entry[1]!, printable)
  }
}

/** The extensions of an image that diskport writes, with the one that ends them. */
export const buildHeaderExtensions = (backingFormat: string | undefined): Uint8Array => {
  const parts: Uint8Array[] = []
  if (backingFormat !== undefined) {
    parts.push(extension(types.backingFormat, Buffer.from(backingFormat, 'ascii')))
  }
  parts.push(extension(types.featureNames, featureNameTable()), new Uint8Array(extensionHeaderSize))
  return Buffer.concat(parts)
}

const extension = (type: number, content: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(extensionHeaderSize + alignUp(content.length, 8))
  const view = viewOf(bytes)
  view.setUint32(0, type)
  view.setUint32(4, content.length)
  bytes.set(content, extensionHeaderSize)
  return bytes
}

const featureNameTable = (): Uint8Array => {
  const table = new Uint8Array(FEATURES.length * featureEntrySize)
  for (const [index, { kind, bit, name }] of FEATURES.entries()) {
    const at = index * featureEntrySize
    table[at] = featureKinds.indexOf(kind)
    table[at + 1] = bit
    table.set(Buffer.from(name, 'ascii'), at + 2)
  }
  return table
}
