import { expect, test } from 'vitest'
import { encodeHeader, parseHeader } from '../../../../src/formats/tar/header.ts'
import { tarEntry } from '../../../support/block-tars.ts'

const parse = (bytes: Uint8Array) => parseHeader(bytes, 'at 0x0', 'Cannot read')

test.each([
  ['vdi/00000003.checksum', 40],
  ['0'.repeat(100), 0],
  ['a', 0o77777777777],
  ['a', 0o100000000000],
  ['a', 2 ** 53 - 1],
])('a header of %s, %d bytes, reads as it was written', (name, size) => {
  expect(parse(encodeHeader({ name, size }, 0o14000000000))).toEqual({ name, size })
})

test('a header is that of POSIX, byte by byte', () => {
  const entry = { name: 'vdi/00000003', content: Buffer.alloc(40) }
  const expected = tarEntry(entry).subarray(0, 512)
  // What other writers leave out: owners as numbers of seven digits, and device numbers.
  expect(encodeHeader({ name: entry.name, size: 40 }, 0o14000000000).subarray(0, 148)).toEqual(
    expected.subarray(0, 148),
  )
  const text = Buffer.from(encodeHeader({ name: entry.name, size: 40 }, 0)).toString('latin1')
  expect(text.slice(136, 148)).toBe('00000000000\0')
  expect(text.slice(156, 157)).toBe('0')
  expect(text.slice(257, 265)).toBe('ustar\x0000')
  expect(text.slice(329, 345)).toBe('0000000\x000000000\0')
})

test('a header of zeros is none', () => {
  expect(parse(new Uint8Array(512))).toBeUndefined()
})
