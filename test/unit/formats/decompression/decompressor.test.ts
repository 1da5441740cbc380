// Batches of pieces: what each holds comes back in its place, and a bad one harms no other.

import { deflateRawSync, deflateSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { Decompressor } from '../../../../src/formats/decompression/decompressor.ts'
import { createDecompressor } from '../../../../src/formats/decompression/decompressor.ts'

const unit = 4096
const pieceOf = (seed: number, length = unit): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * seed) >> 3)

const methods = [
  ['inflateRaw', deflateRawSync],
  ['inflate', deflateSync],
  ['zstd', zstdCompressSync],
] as const

/** What it holds, copied; its buffers go back. */
const take = async (decompressor: Decompressor, bytes: Uint8Array): Promise<Buffer> => {
  const { content, release } = await decompressor.begin(bytes)
  const copy = Buffer.from(content)
  release()
  return copy
}

describe.each(methods)('%s', (method, compress) => {
  test('many more pieces than fit into a batch come back in their places', async () => {
    const decompressor = createDecompressor(method, unit)
    const seeds = Array.from({ length: 1000 }, (_, index) => index)
    const taken = seeds.map((seed) => take(decompressor, compress(pieceOf(seed))))
    decompressor.flush()
    for (const [seed, bytes] of (await Promise.all(taken)).entries()) {
      expect(bytes.equals(pieceOf(seed))).toBe(true)
    }
  })

  test('a piece may be changed as soon as it was taken', async () => {
    const decompressor = createDecompressor(method, unit)
    const piece = Buffer.from(compress(pieceOf(3)))
    const taken = take(decompressor, piece)
    piece.fill(0)
    decompressor.flush()
    expect((await taken).equals(pieceOf(3))).toBe(true)
  })

  test('of several in a batch the bad ones fail, each with its reason', async () => {
    const decompressor = createDecompressor(method, unit)
    const whole = compress(pieceOf(5))
    const outcomes = Promise.allSettled([
      take(decompressor, whole),
      take(decompressor, compress(pieceOf(5, 10))),
      take(decompressor, Buffer.alloc(50, 0xff)),
      take(decompressor, compress(new Uint8Array(100_000))),
      take(decompressor, whole),
    ])
    decompressor.flush()
    decompressor.flush()
    const [first, short, damaged, long, last] = await outcomes
    expect(first.status === 'fulfilled' && first.value.equals(pieceOf(5))).toBe(true)
    expect(short.status === 'fulfilled' && short.value.equals(pieceOf(5, 10))).toBe(true)
    expect(damaged).toMatchObject({ status: 'rejected', reason: { message: /\w/ } })
    expect(String(long.status === 'rejected' && long.reason)).toContain('larger than 4096 bytes')
    expect(last.status === 'fulfilled' && last.value.equals(pieceOf(5))).toBe(true)
  })

  test('a piece may be longer than all that a batch holds', async () => {
    const decompressor = createDecompressor(method, unit)
    const taken = decompressor.begin(Buffer.alloc(3 << 20, 0xff))
    const next = take(decompressor, compress(pieceOf(9)))
    decompressor.flush()
    await expect(taken).rejects.toThrow(/\w/)
    expect((await next).equals(pieceOf(9))).toBe(true)
  })

  test('buffers that were released are used again, and no sooner', async () => {
    const decompressor = createDecompressor(method, 1 << 20)
    const bytes = compress(new Uint8Array(1 << 20).fill(1))
    const held = await decompressor.begin(bytes)
    const other = await decompressor.begin(compress(new Uint8Array(1 << 20).fill(2)))
    expect(held.content[0]).toBe(1)
    other.release()
    await decompressor.begin(bytes)
    expect(other.content.length).toBe(0)
    expect(held.content.length).toBe(1 << 20)
  })
})
