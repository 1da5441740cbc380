// What a VHDX at rest says of itself and of its parent.

import type { Image } from '../../image/image.ts'
import type { ImageDescription } from '../format.ts'
import { loadMetadata, loadPrefix, replay } from './structure.ts'

const what = 'Cannot read the header of a vhdx'

export const describeVhdx = async (image: Image): Promise<ImageDescription> => {
  const prefix = await loadPrefix(image, what)
  const replayed = await replay(image, prefix, image.size, what)
  const { parent } = await loadMetadata(replayed, prefix, what)
  const own = { imageUuid: prefix.header.dataWriteGuid, isHidden: false }
  return parent === undefined ? own : { ...own, parent: { ...parent, format: 'vhdx' } }
}
