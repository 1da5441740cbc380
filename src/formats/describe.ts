// What an image at rest says of itself: its own id, what it lies on, whether its tables are sound. For scans of folders where
// others wrote the images. All of it is the image's word: nothing here opens what it names.

import type { Image } from '../image/image.ts'
import type { FormatName } from './format.ts'
import { checkQcow2Tables } from './qcow2/check-tables.ts'
import { describeQcow2, qcow2ParentNames } from './qcow2/describe.ts'
import { describeVhd } from './vhd/describe.ts'

export interface ImageDescription {
  /** Where the format has one: what a differencing image on top calls its parent. */
  readonly imageUuid?: string
  /** XenServer's mark of an image that is there only for those on top of it. */
  readonly isHidden: boolean
  /** Absent for a whole disk. */
  readonly parent?: ParentClaim
}

export interface ParentClaim {
  /** All that the image calls its parent, the best first: names, paths, URLs, anything. */
  readonly names: readonly string[]
  /** The parent's own id; absent where the image does not say. */
  readonly uuid?: string
  /** `unknown` for a word that is none of the formats here; absent where the image does not say. */
  readonly format?: FormatName | 'unknown'
}

/** Reads headers only; closes nothing. @throws AppError IMPORT_ERROR_GENERIC where they are broken */
export const describeImage: Readonly<
  Record<FormatName, (image: Image) => Promise<ImageDescription>>
> = {
  raw: async () => ({ isHidden: false }),
  vhd: describeVhd,
  qcow2: describeQcow2,
}

/**
 * Looks at what opening an image does not read and an export meets later: tables, not data, and of large images a
 * sample. @throws AppError IMPORT_ERROR_GENERIC for what an export would refuse
 */
export const checkTables: Readonly<Record<FormatName, (image: Image) => Promise<void>>> = {
  raw: async () => {},
  // Opening one reads its whole table. Its bitmaps lie in blocks, and any bits are right.
  vhd: async () => {},
  qcow2: checkQcow2Tables,
}

/** What an image that cannot be read calls its parent, as far as it can be made out. Throws where it cannot. */
export const parentNamesOf: Readonly<
  Record<FormatName, (image: Image) => Promise<readonly string[]>>
> = {
  raw: async () => [],
  vhd: async (image) => (await describeVhd(image)).parent?.names ?? [],
  qcow2: qcow2ParentNames,
}
