// Ranges that are read together, of disks that can and of those that cannot.

import { expect, test } from 'vitest'
import { readRanges } from '../../../src/disk/read-ranges.ts'
import type { Disk } from '../../../src/disk/disk.ts'
import type { ByteRange } from '../../../src/disk/extents.ts'
import { createPatternDisk, createRecordingDisk } from '../../support/disks.ts'

const pattern = () =>
  createPatternDisk([
    ['data', 70_144],
    ['hole', 4096],
    ['data', 4096],
  ])

const some = [
  { offset: 4096, length: 10 },
  { offset: 0, length: 20 },
]

test('a disk that cannot is read range by range', async () => {
  const { disk, reads } = createRecordingDisk(pattern())
  await readRanges(disk, some, new Uint8Array(30))
  expect(reads).toEqual(some)
})

test('a disk that can is asked once; a single range is a plain read', async () => {
  const { disk, reads } = createRecordingDisk(pattern())
  const asked: (readonly ByteRange[])[] = []
  const together: Disk = {
    ...disk,
    async readRanges(ranges) {
      asked.push(ranges)
    },
  }
  await readRanges(together, some, new Uint8Array(30))
  await readRanges(together, some.slice(0, 1), new Uint8Array(10))
  expect(asked).toEqual([some])
  expect(reads).toEqual(some.slice(0, 1))
})
