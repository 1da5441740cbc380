import { expect, test } from 'vitest'
import { vmdk } from '../../../../src/formats/vmdk/vmdk.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { GiB, KiB, MiB } from '../../../../src/units.ts'
import { testIdentity } from '../../../laws/format-laws.ts'
import { createPatternDisk, listExtents, readAll, readRange } from '../../../support/disks.ts'

test('tables that hold nothing are one hole, whatever the disk has', async () => {
  const parts = [
    ['hole', 2 * GiB],
    ['data', 64 * KiB],
    ['hole', 70 * MiB],
    ['data', 64 * KiB],
    ['hole', 3 * GiB],
  ] as const
  const image = await vmdk.plan(createPatternDisk(parts), testIdentity)
  const disk = await vmdk.open(createMemoryImage(await readAll(image)))
  let offset = 0
  const expected = parts.map(([kind, length]) => {
    offset += length
    return { offset: offset - length, length, kind }
  })
  expect(await listExtents(disk)).toEqual(expected)
  expect(await listExtents(disk, { offset: 2 * GiB + 4096, length: 70 * MiB })).toEqual([
    { offset: 2 * GiB + 4096, length: 60 * KiB, kind: 'data' },
    { offset: 2 * GiB + 64 * KiB, length: 70 * MiB - 60 * KiB, kind: 'hole' },
  ])
  expect(await readRange(disk, 2 * GiB - 10, 10)).toEqual(new Uint8Array(10))
})
