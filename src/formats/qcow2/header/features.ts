// The feature bits of a version 3 header: which there are, and which an image may have to be read.

import { imageError } from '../../../errors.ts'

export type FeatureKind = 'incompatible' | 'compatible' | 'autoclear'

interface Feature {
  readonly kind: FeatureKind
  readonly bit: number
  /** As QEMU writes it into the feature name table. */
  readonly name: string
  /** Why an image with this bit is not read; absent for those that are. */
  readonly refusal?: string
}

/** Incompatible: the compression is not zlib. */
export const COMPRESSION_TYPE_BIT = 3

/** All that the specification has. Incompatible bits that are not here are unknown, and refused. */
export const FEATURES: readonly Feature[] = [
  { kind: 'incompatible', bit: 0, name: 'dirty bit' },
  {
    kind: 'incompatible',
    bit: 1,
    name: 'corrupt bit',
    refusal: 'the image is marked corrupt, repair it with qemu-img check -r all',
  },
  {
    kind: 'incompatible',
    bit: 2,
    name: 'external data file',
    refusal: 'the image keeps its data in an external data file, which is never opened',
  },
  { kind: 'incompatible', bit: COMPRESSION_TYPE_BIT, name: 'compression type' },
  { kind: 'incompatible', bit: 4, name: 'extended L2 entries' },
  { kind: 'compatible', bit: 0, name: 'lazy refcounts' },
  { kind: 'autoclear', bit: 0, name: 'bitmaps' },
  { kind: 'autoclear', bit: 1, name: 'raw external data' },
]

export const hasFeature = (mask: bigint, bit: number): boolean =>
  ((mask >> BigInt(bit)) & 1n) === 1n

/**
 * @param mask bits 0-63 of `incompatible_features`
 * @param nameOf the image's own name of an incompatible bit, where its feature name table has one
 * @throws AppError IMPORT_ERROR_GENERIC naming the first bit that keeps the image from being read
 */
export const requireReadableFeatures = (
  what: string,
  mask: bigint,
  nameOf: (bit: number) => string | undefined,
): void => {
  for (let bit = 0; bit < 64; bit += 1) {
    if (!hasFeature(mask, bit)) continue
    const known = FEATURES.find((feature) => feature.kind === 'incompatible' && feature.bit === bit)
    if (known === undefined) {
      const name = nameOf(bit)
      const called = name === undefined ? 'has no name in the image' : `is called "${name}"`
      throw imageError(what, `incompatible feature bit ${bit} is not known; it ${called}`)
    }
    if (known.refusal !== undefined) {
      throw imageError(what, `${known.refusal} (incompatible feature bit ${bit})`)
    }
  }
}
