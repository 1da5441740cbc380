// The reader of upload bodies: order, holding the client back, and clients that stop or leave.

import { PassThrough } from 'node:stream'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { readBody, stopReading } from '../../../routes/read-body.ts'
import { createTurns } from '../../../src/transfer/turns.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { freeTurn } from '../../support/turns.ts'
import { eventually } from '../../support/wait.ts'

const chunkOf = (value: number, length = 64 * KiB) => Buffer.alloc(length, value)

const stallTimeout = 900_000

const readTestBody = (body: PassThrough): AsyncIterable<Uint8Array> =>
  readBody(body, { turn: freeTurn(), stallTimeout })

const readAll = async (chunks: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(new Uint8Array(chunk))
  return Buffer.concat(all)
}

describe('readBody', () => {
  it('gives all chunks in order, and ends', async () => {
    const body = new PassThrough()
    const read = readAll(readTestBody(body))
    for (let value = 0; value < 40; value += 1) body.write(chunkOf(value))
    body.end()
    const expected = Buffer.concat(Array.from({ length: 40 }, (_, value) => chunkOf(value)))
    expect(Buffer.compare(await read, expected)).toBe(0)
  })

  it('holds the client back while nobody reads', async () => {
    let sent = 0
    const body = new PassThrough()
    const chunks = readTestBody(body)[Symbol.asyncIterator]()
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
    const chunks = readTestBody(body)[Symbol.asyncIterator]()
    body.write(chunkOf(1))
    expect((await chunks.next()).value).toHaveLength(64 * KiB)
    const next = chunks.next()
    body.destroy(new Error('reset'))
    await expect(next).rejects.toThrow('reset')
  })

  it('throws where the connection goes without a reason, also before the first read', async () => {
    const body = new PassThrough()
    body.destroy()
    await expect(readAll(readTestBody(body))).rejects.toThrow('The connection was closed')
  })

  it('ends at once on a body that has been read', async () => {
    const body = new PassThrough()
    body.end()
    body.resume()
    await new Promise((resolve) => body.once('end', resolve))
    expect(await readAll(readTestBody(body))).toHaveLength(0)
  })

  it('leaves the stream to whoever comes next', async () => {
    const body = new PassThrough()
    const chunks = readTestBody(body)[Symbol.asyncIterator]()
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

  it('gives up on a client that sends nothing, and leaves the connection for the answer', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const body = new PassThrough()
    const chunks = readTestBody(body)[Symbol.asyncIterator]()
    const silent = chunks.next().catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(stallTimeout)
    expect(await silent).toMatchObject({
      message:
        'Cannot read the upload: no byte came for 900 s, after 0 bytes; --stall-timeout sets how long',
    })
    expect(body.destroyed).toBe(false)
  })

  it('waits for a client that is silent for less', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const body = new PassThrough()
    const chunks = readTestBody(body)[Symbol.asyncIterator]()
    for (const value of [1, 2, 3]) {
      const next = chunks.next()
      await vi.advanceTimersByTimeAsync(stallTimeout - 1)
      body.write(chunkOf(value))
      await vi.advanceTimersByTimeAsync(0)
      expect((await next).value?.[0]).toBe(value)
    }
  })

  it('gives up on a client that hardly sends anything', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const body = new PassThrough()
    const chunks = readTestBody(body)[Symbol.asyncIterator]()
    const read = async (): Promise<void> => {
      for (;;) await chunks.next()
    }
    const slow = read().catch((error: unknown) => error)
    for (let minute = 0; minute < 16; minute += 1) {
      body.write('x'.repeat(4000))
      await vi.advanceTimersByTimeAsync(60_000)
    }
    expect(String(await slow)).toMatch(
      /only \d+ bytes came in 900 s, at least 65536 must, after \d+ bytes/,
    )
    expect(body.listenerCount('data')).toBe(0)
  })

  it('does not blame the client while we are the slow ones', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const body = new PassThrough()
    const chunks = readTestBody(body)[Symbol.asyncIterator]()
    body.write(chunkOf(1))
    await chunks.next()
    await vi.advanceTimersByTimeAsync(600_000)
    expect(body.destroyed).toBe(false)
    body.write(chunkOf(2))
    expect((await chunks.next()).value?.[0]).toBe(2)
  })

  it('lets others have its place while nothing comes, and takes turns when it is busy', async () => {
    const turns = createTurns(1)
    const turn = turns.turn('slow')
    void turn.take()
    const body = new PassThrough()
    const chunks = readBody(body, { turn, stallTimeout })[Symbol.asyncIterator]()
    const next = chunks.next()
    expect(turn.pausedSince).toBeDefined()
    const other = turns.turn('other')
    expect(other.take()).toBeUndefined()
    body.write(chunkOf(1))
    await eventually('the upload to stand in line', async () => turns.waiting || undefined)
    other.end()
    expect((await next).value?.[0]).toBe(1)
    expect([turns.busy, turns.waiting]).toEqual([1, 0])
    turn.end()
    expect(turns.busy).toBe(0)
  })
})
