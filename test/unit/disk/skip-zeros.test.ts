import { expect, test } from 'vitest'
import { createMemoryDisk } from '../../../src/disk/memory-disk.ts'
import { skipZeros } from '../../../src/disk/skip-zeros.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { fillPattern, listExtents } from '../../support/disks.ts'

const written = async (offset: number, zeros: readonly [from: number, to: number]) => {
  const disk = createMemoryDisk(MiB)
  const bytes = new Uint8Array(256 * KiB)
  fillPattern(offset, bytes)
  bytes.fill(0, zeros[0] - offset, zeros[1] - offset)
  await skipZeros(disk).write(offset, bytes)
  return (await listExtents(disk)).map(({ offset, kind }) => [offset / KiB, kind])
}

test('aligned blocks of zeros are zeroed, wherever the write begins', async () => {
  expect(await written(32 * KiB, [64 * KiB, 192 * KiB])).toEqual([
    [0, 'hole'],
    [32, 'data'],
    [64, 'zero'],
    [192, 'data'],
    [288, 'hole'],
  ])
})

test('zeros that fill no aligned block are data', async () => {
  expect(await written(0, [65 * KiB, 191 * KiB])).toEqual([
    [0, 'data'],
    [256, 'hole'],
  ])
})

test('a part of a block at the end of a write is zeroed too', async () => {
  expect(await written(32 * KiB, [256 * KiB, 288 * KiB])).toEqual([
    [0, 'hole'],
    [32, 'data'],
    [256, 'zero'],
    [288, 'hole'],
  ])
})
