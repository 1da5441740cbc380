// What an image at rest says of itself: its own id, and what it lies on. For scans of folders where
// others wrote the images. All of it is the image's word: nothing here opens what it names.

import type { Image } from '../image/image.ts'
import type { FormatName } from './format.ts'
import { describeQcow2 } from './qcow2/describe.ts'
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
