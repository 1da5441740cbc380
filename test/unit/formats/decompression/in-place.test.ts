// Pieces that are exactly one unit are decompressed in place; all others are left to the caller.

import { deflateRawSync, deflateSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { createInPlace } from '../../../../src/formats/decompression/in-place.ts'

const unit = 64 * 1024
const content = Uint8Array.from({ length: unit }, (_, index) => (index * index) >> 7)

const methods = [
  ['inflateRaw', deflateRawSync],
  ['inflate', deflateSync],
  ['zstd', zstdCompressSync],
] as const

describe.each(methods)('%s', (method, compress) => {
  // Were it undefined, imports would still work, and take twice as long.
  const decompress = createInPlace(method)!
  const attempt = (piece: Uint8Array) => {
    const target = new Uint8Array(unit).fill(7)
    return { isDone: decompress(piece, target), target }
  }

  test('fills the target with a full unit, again and again', () => {
    for (const bytes of [content, new Uint8Array(unit), content.toReversed()]) {
      const { isDone, target } = attempt(compress(bytes))
      expect(isDone).toBe(true)
      expect(Buffer.compare(target, bytes)).toBe(0)
    }
  })

  test.each([
    ['less', content.subarray(0, unit - 1)],
    ['nothing', new Uint8Array(0)],
    ['a byte more', new Uint8Array(unit + 1)],
    ['much more', new Uint8Array(3 * unit)],
  ])('a piece that holds %s is left, and the next one is not harmed', (_name, bytes) => {
    expect(attempt(compress(bytes)).isDone).toBe(false)
    expect(attempt(compress(content)).isDone).toBe(true)
  })

  test('a piece that is damaged or cut is left, and the next one is not harmed', () => {
    const whole = compress(content)
    for (let at = 0; at < whole.length; at += 97) {
      const damaged = Buffer.from(whole)
      damaged[at] = damaged[at]! ^ 0x55
      // It may by chance be a full unit all the same: raw streams have no checksum.
      attempt(damaged)
      expect(attempt(whole).isDone).toBe(true)
      expect(attempt(whole.subarray(0, at)).isDone).toBe(false)
    }
    expect(attempt(Buffer.alloc(100, 0xff)).isDone).toBe(false)
    const { isDone, target } = attempt(whole)
    expect(isDone).toBe(true)
    expect(Buffer.compare(target, content)).toBe(0)
  })
})
