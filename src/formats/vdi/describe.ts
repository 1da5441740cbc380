// What a VDI at rest says of itself: one that lies on another is refused.

import type { Image } from '../../image/image.ts'
import type { ImageDescription } from '../format.ts'
import { readHeader } from './open.ts'

export const describeVdi = async (image: Image): Promise<ImageDescription> => {
  const { uuid } = await readHeader(image, 'Cannot read the header of a vdi')
  return { imageUuid: uuid, isHidden: false }
}
