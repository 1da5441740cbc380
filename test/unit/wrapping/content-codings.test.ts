// What goes out compressed comes out of any decompressor as it was; failures and early leaving.

import { setImmediate } from 'node:timers/promises'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { PooledBuffer } from '../../../src/image/buffer-pool.ts'
import { createBufferPool } from '../../../src/image/buffer-pool.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { compressContent, contentCodings } from '../../../src/wrapping/content-codings.ts'
import { expectSameBytes, fillPattern } from '../../support/disks.ts'

const undo = { gzip: gunzipSync, zstd: zstdDecompressSync } as const

/** Pattern and zeros from three buffers that are used again; tells how many are lent. */
const createSource = (count: number, onPiece: (index: number) => void = () => {}) => {
  const pool = createBufferPool(3, 256 * KiB)
  const source = {
    lent: 0,
    isClosed: false,
    async *pieces(): AsyncGenerator<PooledBuffer, void, undefined> {
      try {
        for (let index = 0; index < count; index += 1) {
          onPiece(index)
          const { bytes, release } = await pool.take()
          source.lent += 1
          if (index % 2 === 0) fillPattern(index * bytes.length, bytes)
          else bytes.fill(0)
          yield { bytes, release: () => void (release(), (source.lent -= 1)) }
        }
      } finally {
        source.isClosed = true
      }
    },
  }
  return source
}

describe.each(contentCodings)('%s', (coding) => {
  test('comes out as it went in, and less of it', async () => {
    const source = createSource(40)
    const packed = Buffer.concat(await Array.fromAsync(compressContent(coding, source.pieces())))
    const expected = new Uint8Array(10 * MiB)
    for (let index = 0; index < 40; index += 2) {
      const at = index * 256 * KiB
      fillPattern(at, expected.subarray(at, at + 256 * KiB))
    }
    expectSameBytes(undo[coding](packed), expected)
    expect(packed.length).toBeLessThan(5 * MiB)
    expect(source.lent).toBe(0)
  })

  test('nothing is nothing, and still whole', async () => {
    const packed = Buffer.concat(
      await Array.fromAsync(compressContent(coding, createSource(0).pieces())),
    )
    expect(packed.length).toBeGreaterThan(0)
    expect(undo[coding](packed).length).toBe(0)
  })

  test('what fails on the way is thrown, and the end never comes', async () => {
    const source = createSource(40, (index) => {
      if (index === 20) throw new Error('a bad sector')
    })
    const parts: Uint8Array[] = []
    const reading = (async () => {
      for await (const part of compressContent(coding, source.pieces())) parts.push(part)
    })()
    await expect(reading).rejects.toThrow('a bad sector')
    expect(() => undo[coding](Buffer.concat(parts))).toThrow('unexpected end of file')
    expect(source.lent).toBe(0)
  })

  test('a reader that leaves ends the source; one that pauses holds it up', async () => {
    let made = 0
    const source = createSource(4000, () => (made += 1))
    const chunks = compressContent(coding, source.pieces())
    await chunks.next()
    const before = made
    for (let turn = 0; turn < 200; turn += 1) await setImmediate()
    expect(made - before).toBeLessThan(400)
    await chunks.return()
    expect(source.isClosed).toBe(true)
    expect(source.lent).toBe(0)
  })
})
