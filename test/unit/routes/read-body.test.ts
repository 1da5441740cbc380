// The reader of upload bodies: order, holding the client back, and clients that stop or leave.

import { PassThrough } from 'node:stream'
import { describe, expect, it, vi } from 'vitest'
import { readBody, stopReading } from '../../../routes/read-body.ts'
import { KiB, MiB } from '../../../src/units.ts'

const chunkOf = (value: number, length = 64 * KiB) => Buffer.alloc(length, value)

const readAll = async (chunks: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(new Uint8Array(chunk))
  return Buffer.concat(all)
}

describe('readBody', () => {
  it('gives all chunks in order, and ends', async () => {
    const body = new PassThrough()
    const read = readAll(readBody(body))
    for (let value = 0; value < 40; value += 1) body.write(chunkOf(value))
    body.end()
    const expected = Buffer.concat(Array.from({ length: 40 }, (_, value) => chunkOf(value)))
    expect(Buffer.compare(await read, expected)).toBe(0)
  })

  it('holds the client back while nobody reads', async () => {
    let sent = 0
    const body = new PassThrough()
    const chunks = readBody(body)[Symbol.asyncIterator]()
    body.write(chunkOf(1))
    await chunks.next()
    const send = async (): Promise<void> => {
      while (sent < 16 * MiB) {
        if (!body.write(chunkOf(2))) {
          await new Promise((resolve) => body.once('drain', resolve))
        }
        sent += 64 * KiB
      }
      body.end()
    }
    const sending = send()
    for (let turn = 0; turn < 1000; turn += 1) await new Promise(setImmediate)
    expect(sent).toBeLessThan(2 * MiB)
    let received = 0
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
      received += next.value.length
    }
    await sending
    expect(received).toBe(16 * MiB)
  })

  it('throws what broke the stream, after the bytes that came before', async () => {
    const body = new PassThrough()
    const chunks = readBody(body)[Symbol.asyncIterator]()
    body.write(chunkOf(1))
    expect((await chunks.next()).value).toHaveLength(64 * KiB)
    const next = chunks.next()
    body.destroy(new Error('reset'))
    await expect(next).rejects.toThrow('reset')
  })

  it('throws where the connection goes without a reason, also before the first read', async () => {
    const body = new PassThrough()
    body.destroy()
    await expect(readAll(readBody(body))).rejects.toThrow('The connection was closed')
  })

  it('ends at once on a body that has been read', async () => {
    const body = new PassThrough()
    body.end()
    body.resume()
    await new Promise((resolve) => body.once('end', resolve))
    expect(await readAll(readBody(body))).toHaveLength(0)
  })

  it('leaves the stream to whoever comes next', async () => {
    const body = new PassThrough()
    const chunks = readBody(body)[Symbol.asyncIterator]()
    body.write(chunkOf(1))
    await chunks.next()
    stopReading(body)
    let rest = 0
    body.on('data', (chunk: Buffer) => (rest += chunk.length)).resume()
    for (let written = 0; written < 4 * MiB; written += 64 * KiB) {
      body.write(chunkOf(2))
      await new Promise(setImmediate)
    }
    expect(rest).toBe(4 * MiB)
    expect(body.listenerCount('data')).toBe(1)
  })

  it('gives up on a client that sends nothing', async () => {
    vi.useFakeTimers()
    try {
      const body = new PassThrough()
      const chunks = readBody(body)[Symbol.asyncIterator]()
      const silent = chunks.next().catch((error: unknown) => error)
      await vi.advanceTimersByTimeAsync(120_000)
      expect(await silent).toMatchObject({
        message: 'Cannot read the upload: no byte came for 120 s, after 0 bytes',
      })
    } finally {
      vi.useRealTimers()
    }
  })

  it('gives up on a client that hardly sends anything', async () => {
    vi.useFakeTimers()
    try {
      const body = new PassThrough()
      const chunks = readBody(body)[Symbol.asyncIterator]()
      const read = async (): Promise<void> => {
        for (;;) await chunks.next()
      }
      const slow = read().catch((error: unknown) => error)
      for (let second = 0; second < 61; second += 1) {
        body.write('x')
        await vi.advanceTimersByTimeAsync(1000)
      }
      expect(String(await slow)).toContain('only 1 bytes a second came, at least 1024 must')
      expect(body.listenerCount('data')).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it('does not blame the client while we are the slow ones', async () => {
    vi.useFakeTimers()
    try {
      const body = new PassThrough()
      const chunks = readBody(body)[Symbol.asyncIterator]()
      body.write(chunkOf(1))
      await chunks.next()
      await vi.advanceTimersByTimeAsync(600_000)
      expect(body.destroyed).toBe(false)
      body.write(chunkOf(2))
      expect((await chunks.next()).value?.[0]).toBe(2)
    } finally {
      vi.useRealTimers()
    }
  })
})
