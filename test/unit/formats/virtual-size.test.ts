import { describe, expect, test } from 'vitest'
import { requireVirtualSize } from '../../../src/formats/virtual-size.ts'
import { MAXIMUM_DISK_SIZE, TiB } from '../../../src/units.ts'

describe('a virtual size above the limit', () => {
  test('is never said to be the same as the limit: "16.0 TiB, the limit is 16.0 TiB"', () => {
    expect(() => requireVirtualSize('Cannot decode raw', 16 * TiB, MAXIMUM_DISK_SIZE)).toThrow(
      'the virtual size is 17592186044416 bytes (16 TiB), the limit is 17589500641280 bytes',
    )
    expect(() => requireVirtualSize('Cannot decode raw', 20 * TiB, MAXIMUM_DISK_SIZE)).toThrow(
      `the virtual size is ${20 * TiB} bytes (20 TiB), the limit is ${MAXIMUM_DISK_SIZE} bytes (16.0 TiB)`,
    )
  })
})
