import { describe, expect, test } from 'vitest'
import { createForwardReader } from '../../../src/image/forward-reader.ts'
import { cutInChunks, expectSameBytes, fillPattern } from '../../support/disks.ts'

const bytes = new Uint8Array(10_000)
fillPattern(0, bytes)
const readerOf = (lengths: number[], signal?: AbortSignal) =>
  createForwardReader(cutInChunks(bytes, lengths), signal)

describe('forward reader', () => {
  test.each([[[1]], [[7, 1, 300]], [[10_000]], [[4096]]])(
    'chunks of %j read as one stream',
    async (lengths) => {
      const reader = readerOf(lengths)
      const head = new Uint8Array(100)
      await reader.read(head, 'the head')
      await reader.skip(900, 'a gap')
      const rest = new Uint8Array(20_000)
      expect(await reader.readUpTo(rest)).toBe(9000)
      expect(reader.offset).toBe(10_000)
      expect(await reader.atEnd()).toBe(true)
      expectSameBytes(head, bytes.subarray(0, 100))
      expectSameBytes(rest.subarray(0, 9000), bytes.subarray(1000))
    },
  )

  test('a stream that ends early is said with numbers', async () => {
    const reader = readerOf([4096])
    await reader.skip(9000, 'a gap')
    await expect(
      reader.read(new Uint8Array(2000), 'Cannot decode x: the table'),
    ).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      message:
        'Cannot decode x: the table: the stream ends after 10000 bytes, expected 2000 bytes at 9000; the upload is incomplete: send all of the image',
    })
    await expect(readerOf([10]).skip(10_001, 'x')).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
  })

  test.each([[[1]], [[7, 1, 300]], [[10_000]]])(
    'what is looked at stays to be read, in chunks of %j',
    async (lengths) => {
      const reader = readerOf(lengths)
      expectSameBytes(await reader.peek(512), bytes.subarray(0, 512))
      expectSameBytes(await reader.peek(10), bytes.subarray(0, 10))
      expect(reader.offset).toBe(0)
      const head = new Uint8Array(600)
      await reader.read(head, 'the head')
      expectSameBytes(head, bytes.subarray(0, 600))
      expectSameBytes(await reader.peek(20_000), bytes.subarray(600))
      expect(await reader.drain()).toBe(9400)
      expect(await reader.peek(1)).toHaveLength(0)
    },
  )

  test('a source that breaks while it is looked at says how much came', async () => {
    async function* breaking(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 100)
      throw new Error('ECONNRESET')
    }
    await expect(createForwardReader(breaking()).peek(512)).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      message: 'Cannot read the upload: the connection broke after 100 bytes',
    })
  })

  test('drain passes over the rest', async () => {
    const reader = readerOf([999])
    await reader.skip(1, 'x')
    expect(await reader.atEnd()).toBe(false)
    expect(await reader.drain()).toBe(9999)
  })

  test('a source that breaks is a lost connection', async () => {
    async function* breaking(): AsyncGenerator<Uint8Array> {
      yield bytes
      throw new Error('ECONNRESET')
    }
    const reader = createForwardReader(breaking())
    await expect(reader.skip(10_001, 'x')).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      message: 'Cannot read the upload: the connection broke after 10000 bytes',
    })
  })

  test('an abort ends a read that waits', async () => {
    async function* silent(): AsyncGenerator<Uint8Array> {
      await new Promise(() => {})
      yield bytes
    }
    const abort = new AbortController()
    const reading = createForwardReader(silent(), abort.signal).atEnd()
    abort.abort()
    await expect(reading).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
  })
})
