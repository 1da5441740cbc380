import { expect, test } from 'vitest'
import { createChainOnDemand } from '../../../src/disk/chain-disk.ts'
import type { Disk } from '../../../src/disk/disk.ts'
import { KiB } from '../../../src/units.ts'
import { createPatternDisk } from '../../support/disks.ts'

test('a layer that fails while the next stretch is looked for fails the read, and nothing else', async () => {
  const size = 8 * KiB
  const pattern = createPatternDisk([
    ['data', 4 * KiB],
    ['hole', 4 * KiB],
  ])
  // Each extent comes a while after the one before, when a read has long failed.
  const failing: Disk = {
    ...pattern,
    async *extents(range) {
      for await (const extent of pattern.extents(range)) {
        yield extent
        await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
      }
    },
    read: () => Promise.reject(new Error('unreadable')),
  }
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', note)
  try {
    const chain = createChainOnDemand([{ disk: failing }], size)
    await expect(chain.read(0, new Uint8Array(size))).rejects.toThrow('unreadable')
  } finally {
    process.off('unhandledRejection', note)
  }
  expect(unhandled).toEqual([])
})
