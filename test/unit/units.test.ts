import { describe, expect, test } from 'vitest'
import { formatBytes, MAXIMUM_DISK_SIZE, TiB } from '../../src/units.ts'

describe('a size for people', () => {
  test.each([
    [0, '0 bytes'],
    [1023, '1023 bytes'],
    [1024, '1024 bytes (1 KiB)'],
    [1536 * 1024, '1572864 bytes (1.5 MiB)'],
    [16 * TiB, `${16 * TiB} bytes (16 TiB)`],
  ])('%d bytes', (bytes, expected) => {
    expect(formatBytes(bytes)).toBe(expected)
  })

  test.each([
    [MAXIMUM_DISK_SIZE + 512, MAXIMUM_DISK_SIZE],
    [MAXIMUM_DISK_SIZE, 16 * TiB],
    [1537, 1536],
    [2049, 2048],
  ])('beside one that rounds to the same only the bytes are said: %d and %d', (size, other) => {
    expect(formatBytes(size, other)).toBe(`${size} bytes`)
    expect(formatBytes(other, size)).not.toContain('.')
  })

  test.each([
    [2048, 4096, '2048 bytes (2 KiB)'],
    [2048, 2048, '2048 bytes (2 KiB)'],
    [2048, 2 * TiB, '2048 bytes (2 KiB)'],
    [1024, 1000, '1024 bytes (1 KiB)'],
  ])('%d beside %d is said in units', (size, other, expected) => {
    expect(formatBytes(size, other)).toBe(expected)
  })
})
