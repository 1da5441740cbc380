// A VM with two disks as an OVA, its disks made by qemu-img.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ovfOf } from './archives.ts'
import type { Entry } from './block-tars.ts'
import { createRawSource } from './sources.ts'
import { run } from './tools.ts'

const MiB = 1 << 20

/** Two raw disks and their streamOptimized images. */
export const createDisks = async (folder: string) => {
  const raws = [
    await createRawSource(folder, 'a.raw', { size: 8 * MiB, parts: [[MiB, MiB]], seed: 1 }),
    await createRawSource(folder, 'b.raw', {
      size: 4 * MiB,
      parts: [
        [0, 4096],
        [3 * MiB, 65_536],
      ],
      seed: 2,
    }),
  ] as const
  const images: Entry[] = []
  for (const [index, raw] of raws.entries()) {
    const name = `web-disk${index + 1}.vmdk`
    const image = join(folder, name)
    const options = ['-f', 'raw', '-O', 'vmdk', '-o', 'subformat=streamOptimized']
    await run('qemu-img', ['convert', ...options, raw, image])
    images.push({ name, content: await readFile(image) })
  }
  return { raws, images: images as [Entry, Entry] }
}

export const ovfText = ovfOf([
  { id: 'vmdisk1', href: 'web-disk1.vmdk', capacity: 8 * MiB },
  { id: 'vmdisk2', href: 'web-disk2.vmdk', capacity: 4 * MiB },
])
export const ovf: Entry = { name: 'web.ovf', content: Buffer.from(ovfText) }

export const textEntry = (name: string, text: string): Entry => ({
  name,
  content: Buffer.from(text),
})
