// A deferred disk opens once, when it is needed, and closes what it has opened.

import { describe, expect, test } from 'vitest'
import { createDeferredDisk } from '../../../src/disk/deferred-disk.ts'
import { createMemoryDisk } from '../../../src/disk/memory-disk.ts'
import { diskLaws } from '../../laws/disk-laws.ts'
import { createPatternDisk, createRecordingDisk, readAll } from '../../support/disks.ts'

const pattern = () =>
  createPatternDisk([
    ['data', 8192],
    ['hole', 4096],
    ['zero', 512],
  ])

describe('deferred disk', () => {
  diskLaws('one that is read', async () => {
    const disk = createMemoryDisk(12_800)
    await disk.write(512, Buffer.alloc(4096, 7))
    return createDeferredDisk(12_800, async () => disk)
  })

  test('it is opened once, and closed with what was opened', async () => {
    let opened = 0
    const { disk, closes } = createRecordingDisk(pattern())
    const deferred = createDeferredDisk(12_800, async () => {
      opened += 1
      return disk
    })
    expect(opened).toBe(0)
    await Promise.all([readAll(deferred), readAll(deferred)])
    await deferred.close()
    expect([opened, closes()]).toEqual([1, 1])
  })

  test('one that nobody read was never opened', async () => {
    let opened = 0
    const deferred = createDeferredDisk(512, async () => {
      opened += 1
      return pattern()
    })
    await deferred.close()
    expect(opened).toBe(0)
  })

  test('one that cannot be opened says so, and closes', async () => {
    const deferred = createDeferredDisk(512, () => Promise.reject(new Error('gone')))
    await expect(deferred.read(0, new Uint8Array(1))).rejects.toThrow('gone')
    await deferred.close()
  })
})
