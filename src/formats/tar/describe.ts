// What an archive at rest says of itself: nothing, if it begins as one of blocks does.

import { imageError } from '../../errors.ts'
import type { Image } from '../../image/image.ts'
import { formatBytes, MAXIMUM_DISK_SIZE } from '../../units.ts'
import type { ImageDescription } from '../format.ts'
import { createBlockSequence, folderOf } from './block-sequence.ts'
import { HEADER_LENGTH, parseHeader } from './header.ts'

const what = 'Cannot read the header of a tar'

export const describeTar = async (image: Image): Promise<ImageDescription> => {
  if (image.size < HEADER_LENGTH) {
    throw imageError(what, `the image of ${formatBytes(image.size)} has no room for a header`)
  }
  const header = new Uint8Array(HEADER_LENGTH)
  await image.read(0, header)
  const first = parseHeader(header, 'at 0x0', what)
  if (first === undefined) throw imageError(what, 'the archive is empty')
  const folder = folderOf(first.name)
  createBlockSequence({ folder, maximumSize: MAXIMUM_DISK_SIZE, what }).place(first)
  return { isHidden: false }
}
