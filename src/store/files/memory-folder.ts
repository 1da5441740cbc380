// A folder in memory: for tests, and the one to read first.

import type { WritableImage } from '../../image/image.ts'
import { createMemoryImage } from '../../image/memory-image.ts'
import { spoolOn } from '../../image/spool.ts'
import type { LayerFolder } from './layer-folder.ts'

export const createMemoryFolder = (): LayerFolder => {
  const staging = new Map<string, WritableImage>()
  const published = new Map<string, WritableImage>()
  return {
    async create(name) {
      const image = createMemoryImage()
      staging.set(name, image)
      return image
    },
    async publish(name, as = name) {
      const image = staging.get(name)
      if (image === undefined) throw new Error(`${name} is not in staging`)
      staging.delete(name)
      published.set(as, image)
      return image.size
    },
    list: async () => Array.from(published.keys(), (name) => ({ name, isPlain: true })),
    async state(name) {
      const image = published.get(name)
      return image && { size: image.size, changedAt: 0n, inodeChangedAt: 0n, inode: 0n }
    },
    open: async (name) => published.get(name),
    async remove(name) {
      staging.delete(name)
      published.delete(name)
    },
    touch: async () => {},
    async discard(name) {
      staging.delete(name)
    },
    listStaging: async () => [...staging.keys()],
    openSpool: async () => spoolOn(createMemoryImage()),
    async space() {
      const used = [...published.values()].reduce((sum, image) => sum + image.size, 0)
      return { size: Number.MAX_SAFE_INTEGER, used }
    },
  }
}
