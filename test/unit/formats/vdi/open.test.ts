import { expect, test } from 'vitest'
import { vdi } from '../../../../src/formats/vdi/vdi.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { KiB } from '../../../../src/units.ts'
import { listExtents } from '../../../support/disks.ts'
import { buildVdi } from '../../../support/vdi-images.ts'

test('a free entry is a hole, one of zeros says so', async () => {
  const entries = [1, 0, 0xffffffff, 0xffffffff, 0xfffffffe, 2, 0xfffffffe]
  const bytes = buildVdi({ size: 27 * KiB, entries, blockSize: 4 * KiB })
  const disk = await vdi.open(createMemoryImage(bytes))
  expect(await listExtents(disk)).toEqual([
    { offset: 0, length: 8 * KiB, kind: 'data' },
    { offset: 8 * KiB, length: 8 * KiB, kind: 'hole' },
    { offset: 16 * KiB, length: 4 * KiB, kind: 'zero' },
    { offset: 20 * KiB, length: 4 * KiB, kind: 'data' },
    { offset: 24 * KiB, length: 3 * KiB, kind: 'zero' },
  ])
})
