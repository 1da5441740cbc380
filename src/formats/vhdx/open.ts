// Image → Disk for VHDX files at rest: fixed, dynamic and differencing, each read by its table.

import type { Disk } from '../../disk/disk.ts'
import type { Image } from '../../image/image.ts'
import { createBlockDisk } from './block-disk.ts'
import { loadPrefix, loadStructure, replay } from './structure.ts'

const what = 'Cannot open vhdx'

/** See ImageFormat.open. */
export const openVhdx = async (image: Image): Promise<Disk> => {
  const prefix = await loadPrefix(image, what)
  const replayed = await replay(image, prefix, image.size, what)
  const structure = await loadStructure(replayed, prefix, replayed.size, what)
  return createBlockDisk(replayed, structure, what)
}
