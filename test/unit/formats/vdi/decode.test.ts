import { expect, test } from 'vitest'
import { copyWrites } from '../../../../src/disk/copy-writes.ts'
import { createMemoryDisk } from '../../../../src/disk/memory-disk.ts'
import { vdi } from '../../../../src/formats/vdi/vdi.ts'
import { KiB } from '../../../../src/units.ts'
import { decodeBytes } from '../../../laws/format-laws.ts'
import { readAll } from '../../../support/disks.ts'
import { buildVdi } from '../../../support/vdi-images.ts'

test('blocks of zeros are written as such, free ones are left as they were', async () => {
  const size = 15 * KiB
  const [free, zero] = [0xffffffff, 0xfffffffe]
  const bytes = buildVdi({ size, entries: [zero, zero, free, zero], blockSize: 4 * KiB })
  const disk = createMemoryDisk(size)
  await disk.write(0, new Uint8Array(size).fill(7))
  await copyWrites((await decodeBytes(vdi, bytes)).writes(), disk)
  const expected = new Uint8Array(size).fill(7, 8 * KiB, 12 * KiB)
  expect(await readAll(disk)).toEqual(expected)
})
