// Image → Disk for VMDK files at rest: monolithicSparse and streamOptimized, read by their tables.

import type { Disk } from '../../disk/disk.ts'
import type { Image } from '../../image/image.ts'
import { createGrainDisk } from './grain-disk.ts'
import type { Structure } from './structure.ts'
import {
  loadDescriptor,
  loadDirectory,
  loadFooter,
  loadHeader,
  loadStructure,
} from './structure.ts'

const what = 'Cannot open vmdk'

/** See ImageFormat.open. */
export const openVmdk = async (image: Image): Promise<Disk> =>
  createGrainDisk(image, await loadWhole(image, what), what)

/** The structure of an image that is there from end to end. */
export const loadWhole = async (image: Image, what: string): Promise<Structure> => {
  const first = await loadHeader(image, what)
  await loadDescriptor(image, first, what)
  const header = await loadFooter(image, first, what)
  const directory = await loadDirectory(image, header, what)
  return loadStructure(image, header, directory, image.size, what)
}
