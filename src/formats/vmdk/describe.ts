// What a VMDK at rest says of itself: one that lies on another is refused.

import type { Image } from '../../image/image.ts'
import type { ImageDescription } from '../format.ts'
import { loadDescriptor, loadHeader } from './structure.ts'

const what = 'Cannot read the header of a vmdk'

export const describeVmdk = async (image: Image): Promise<ImageDescription> => {
  const header = await loadHeader(image, what)
  await loadDescriptor(image, header, what)
  return { isHidden: false }
}
