import { describe, expect, test } from 'vitest'
import { createPaddedDisk } from '../../../src/disk/padded-disk.ts'
import { KiB } from '../../../src/units.ts'
import { diskLaws } from '../../laws/disk-laws.ts'
import { createPatternDisk, expectSameBytes, listExtents, readAll } from '../../support/disks.ts'

const createSource = () =>
  createPatternDisk([
    ['data', 3 * KiB],
    ['hole', 2 * KiB],
  ])

describe('a padded disk', () => {
  diskLaws('a padded disk', async () => createPaddedDisk(createSource(), 9 * KiB))

  test('is the disk, then a hole', async () => {
    const source = createSource()
    const padded = createPaddedDisk(source, 9 * KiB)
    expect(await listExtents(padded)).toEqual([
      { offset: 0, length: 3 * KiB, kind: 'data' },
      { offset: 3 * KiB, length: 6 * KiB, kind: 'hole' },
    ])
    const expected = new Uint8Array(9 * KiB)
    expected.set(await readAll(source))
    expectSameBytes(await readAll(padded), expected)
  })

  test('of the same size is the disk itself', () => {
    const source = createSource()
    expect(createPaddedDisk(source, source.size)).toBe(source)
  })
})
