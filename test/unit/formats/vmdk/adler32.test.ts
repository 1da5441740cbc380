// Adler-32 against what zlib puts at the end of its streams.

import { deflateSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { adler32 } from '../../../../src/formats/vmdk/adler32.ts'

const cases: readonly (readonly [string, Uint8Array])[] = [
  ['nothing', new Uint8Array(0)],
  ['one byte', Uint8Array.of(97)],
  ['the largest bytes', new Uint8Array(70_000).fill(255)],
  ['all bytes', Uint8Array.from({ length: 65_536 }, (_, index) => (index * 7919) >> 3)],
]

test.each(cases)('of %s is that of zlib', (_name, bytes) => {
  expect(adler32(bytes)).toBe(deflateSync(bytes).readUInt32BE(deflateSync(bytes).length - 4))
})
