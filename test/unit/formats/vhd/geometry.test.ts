import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { geometryOf, maximumGeometry, sectorsOf } from '../../../../src/formats/vhd/geometry.ts'
import { GiB, MiB, SECTOR_SIZE } from '../../../../src/units.ts'

describe('geometry', () => {
  // Sectors, then cylinders, heads and sectors in a track, worked out by hand from the
  // specification.
  test.each([
    [1, 0, 4, 17],
    [(10 * MiB) / SECTOR_SIZE, 301, 4, 17],
    [17 * 4 * 1024 - 1, 1023, 4, 17],
    // 4 × 1024 tracks exactly are too many for 4 heads, and a fifth is not taken.
    [17 * 4 * 1024, 140, 16, 31],
    [17 * 4 * 1024 + 17, 819, 5, 17],
    [17 * 16 * 1024 - 1, 1023, 16, 17],
    [17 * 16 * 1024, 561, 16, 31],
    [31 * 16 * 1024 - 1, 1023, 16, 31],
    [31 * 16 * 1024, 503, 16, 63],
    [(8 * GiB) / SECTOR_SIZE, 16_644, 16, 63],
    [65_535 * 16 * 63 - 1, 65_534, 16, 63],
    [65_535 * 16 * 63, 16_191, 16, 255],
    [65_535 * 16 * 255 - 1, 65_534, 16, 255],
    [65_535 * 16 * 255, 65_535, 16, 255],
    [(2040 * GiB) / SECTOR_SIZE, 65_535, 16, 255],
  ])('%d sectors are %d × %d × %d', (sectors, cylinders, heads, sectorsPerTrack) => {
    expect(geometryOf(sectors * SECTOR_SIZE)).toEqual({ cylinders, heads, sectorsPerTrack })
  })

  test('never counts more than the disk has, and at most a cylinder less', () => {
    const largest = sectorsOf(maximumGeometry)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: largest }), (sectors) => {
        const geometry = geometryOf(sectors * SECTOR_SIZE)
        const counted = sectorsOf(geometry)
        expect(counted).toBeLessThanOrEqual(sectors)
        expect(sectors - counted).toBeLessThan(geometry.heads * geometry.sectorsPerTrack)
        expect(geometry.cylinders).toBeLessThan(65_536)
      }),
    )
  })
})
