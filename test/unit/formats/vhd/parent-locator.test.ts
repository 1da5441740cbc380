import { describe, expect, test } from 'vitest'
import { checkLocators, writtenLocators } from '../../../../src/formats/vhd/parent-locator.ts'

const locator = (length: number, offset: number) => ({
  platform: 'W2ru',
  space: 512,
  length,
  offset,
})

describe('locators that are read', () => {
  test('may be empty, as those of XenServer are', () => {
    expect(() => checkLocators([locator(0, 0), locator(0, 1e15)], 4096, 'x')).not.toThrow()
  })

  test('are refused where they leave the image', () => {
    expect(() => checkLocators([locator(100, 3996)], 4096, 'x')).not.toThrow()
    expect(() => checkLocators([locator(100, 3997)], 4096, 'Cannot test')).toThrow(
      'Cannot test: the parent locator "W2ru" of 100 bytes at 0xf9d leaves the image, which ends at 0x1000',
    )
  })

  test('are refused where they are too long to be a path', () => {
    expect(() => checkLocators([locator(65_536, 0)], 1e9, 'x')).not.toThrow()
    expect(() => checkLocators([locator(65_537, 0)], 1e9, 'x')).toThrow(
      'is 65537 bytes long, the limit is 65536',
    )
    expect(() => checkLocators([locator(0xffffffff, 0)], 1e12, 'x')).toThrow('the limit is 65536')
  })
})

describe('locators that are written', () => {
  test('hold the way to a file in the same folder', () => {
    const [relative, absolute, url] = writtenLocators('base.vhd', [1536, 3584, 4096])
    for (const { bytes, entry } of [relative!, absolute!]) {
      expect(Buffer.from(bytes).toString('utf16le', 0, entry.length)).toBe('.\\base.vhd')
      expect(bytes.subarray(entry.length).every((byte) => byte === 0)).toBe(true)
    }
    expect(Buffer.from(url!.bytes).toString('utf8', 0, url!.entry.length)).toBe('file://./base.vhd')
    expect([relative, absolute, url].map((one) => one!.bytes.length)).toEqual([512, 512, 512])
  })

  test('never hold a path of another folder', () => {
    expect(() => writtenLocators('../base.vhd', [0, 0, 0])).toThrow('is a path, not a name')
    expect(() => writtenLocators('a\\base.vhd', [0, 0, 0])).toThrow('is a path, not a name')
  })

  test('fit their sector', () => {
    expect(() => writtenLocators('x'.repeat(254), [0, 0, 0])).not.toThrow()
    expect(() => writtenLocators('x'.repeat(255), [0, 0, 0])).toThrow('too long')
  })
})
