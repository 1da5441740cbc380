import { expect, test } from 'vitest'
import { crc32c } from '../../../src/image/crc32c.ts'

// RFC 3720, appendix B.4.
test.each([
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['0 to 31', Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
  ['31 to 0', Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c],
  ['text', Buffer.from('123456789'), 0xe3069283],
])('%s', (_name, bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected)
})

test('goes on from what comes before', () => {
  const bytes = Buffer.from('The quick brown fox jumps over the lazy dog')
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    expect(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut)))).toBe(0x22620404)
  }
})
