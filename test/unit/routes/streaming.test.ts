// The byte path of exports against a real socket: order, bounds, and the three outcomes.

import { createServer, get, IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sendImage } from '../../../routes/streaming.ts'
import type { ByteRange } from '../../../src/disk/extents.ts'
import { AppError } from '../../../src/errors.ts'
import type { Image } from '../../../src/image/image.ts'
import type { Turn } from '../../../src/transfer/turns.ts'
import { createTurns } from '../../../src/transfer/turns.ts'
import { MiB } from '../../../src/units.ts'
import { expectSameBytes, fillPattern } from '../../support/disks.ts'
import { freeTurn } from '../../support/turns.ts'
import { eventually } from '../../support/wait.ts'

const size = 40 * MiB

/** 40 MiB of pattern; `onRead` sees each read and may throw. */
const patternImage = (onRead: (offset: number) => void = () => {}): Image => ({
  size,
  async read(offset, target) {
    onRead(offset)
    fillPattern(offset, target)
  },
  async close() {},
})

/** Serves `range` of `image` once; the client's response and the server's verdict. */
const serve = async (
  image: Image,
  range: ByteRange,
  { signal = new AbortController().signal, turn = freeTurn(), stallTimeout = 900_000 } = {},
) => {
  const verdict = Promise.withResolvers<string>()
  let sent = 0
  const server = createServer((_incoming, outgoing: ServerResponse) => {
    outgoing.writeHead(200, { 'content-length': range.length })
    const onProgress = (bytes: number): void => void (sent += bytes)
    sendImage(image, range, outgoing, { turn, stallTimeout, signal, onProgress }).then(
      verdict.resolve,
      verdict.reject,
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ host: '127.0.0.1', port, agent: false }, resolve).on('error', reject)
  })
  verdict.promise.catch(() => {})
  return { response, verdict: verdict.promise, sent: () => sent }
}

const bodyOf = async (response: IncomingMessage): Promise<Uint8Array> =>
  Buffer.concat((await Array.fromAsync(response)) as Uint8Array[])

describe('sendImage', () => {
  test('any range arrives whole and in order', async () => {
    const range = { offset: 3 * MiB + 5, length: 9 * MiB + 1 }
    const { response, verdict, sent } = await serve(patternImage(), range)
    const expected = new Uint8Array(range.length)
    fillPattern(range.offset, expected)
    expectSameBytes(await bodyOf(response), expected)
    expect(await verdict).toBe('complete')
    expect(sent()).toBe(range.length)
  })

  test('nothing is read far ahead of a client that does not read', async () => {
    let furthest = 0
    const image = patternImage((offset) => (furthest = Math.max(furthest, offset)))
    const { response, verdict } = await serve(image, { offset: 0, length: size })
    response.pause()
    await new Promise((resolve) => response.once('readable', resolve))
    // The pieces in hand and what the kernel's socket buffers take, far below the 40 MiB there are.
    expect(furthest).toBeLessThan(24 * MiB)
    response.destroy()
    expect(await verdict).toBe('client-left')
  })

  test('a read that fails midway destroys the connection: the client sees a cut body', async () => {
    const image = patternImage((offset) => {
      if (offset === 20 * MiB) throw new AppError('VDI_IO_ERROR', ['a bad sector'])
    })
    const { response, verdict } = await serve(image, { offset: 0, length: size })
    await expect(bodyOf(response)).rejects.toThrow('aborted')
    await expect(verdict).rejects.toThrow('a bad sector')
  })

  test('a cancelled transfer destroys the connection and throws the reason', async () => {
    const cancel = new AbortController()
    const image = patternImage((offset) => {
      if (offset === 8 * MiB) cancel.abort(new AppError('TASK_CANCELLED', ['x']))
    })
    const { response, verdict } = await serve(image, { offset: 0, length: size }, cancel)
    await expect(bodyOf(response)).rejects.toThrow('aborted')
    await expect(verdict).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
  })

  test('a client that left before the first byte costs no read', async () => {
    let reads = 0
    const outgoing = new ServerResponse(new IncomingMessage(new Socket()))
    outgoing.destroy()
    const { signal } = new AbortController()
    const range = { offset: 0, length: size }
    const image = patternImage(() => (reads += 1))
    const sent = sendImage(image, range, outgoing, {
      turn: freeTurn(),
      stallTimeout: 900_000,
      signal,
      onProgress: () => {},
    })
    expect(await sent).toBe('client-left')
    expect(reads).toBe(0)
  })

  test('while the client takes nothing, its place is for others; then it goes on', async () => {
    const turns = createTurns(1)
    const turn = turns.turn('slow')
    void turn.take()
    const { response, verdict } = await serve(patternImage(), { offset: 0, length: size }, { turn })
    response.pause()
    await eventually('the transfer to be paused', async () => turn.pausedSince)
    const other = turns.turn('other')
    expect(other.take()).toBeUndefined()
    const body = bodyOf(response)
    await eventually('the transfer to stand in line', async () => turns.waiting || undefined)
    other.end()
    expect((await body).length).toBe(size)
    expect(await verdict).toBe('complete')
  })

  test('a client that leaves while its transfer waits for a turn ends the wait', async () => {
    const turns = createTurns(1)
    const turn = turns.turn('slow')
    void turn.take()
    const { response, verdict } = await serve(patternImage(), { offset: 0, length: size }, { turn })
    response.pause()
    await eventually('the transfer to be paused', async () => turn.pausedSince)
    void turns.turn('other').take()
    response.resume()
    await eventually('the transfer to stand in line', async () => turns.waiting || undefined)
    response.destroy()
    expect(await verdict).toBe('client-left')
    expect(turns.waiting).toBe(0)
  })

  test('a client that takes nothing for too long is cut off, and the reason thrown', async () => {
    const { response, verdict } = await serve(
      patternImage(),
      { offset: 0, length: size },
      { stallTimeout: 50 },
    )
    response.pause()
    await expect(verdict).rejects.toThrow(
      'Cannot send the image: the client took nothing for 0.05 s',
    )
  })

  test('a client that reads fast pays for no wait: its turn is never asked for between pieces', async () => {
    const turn = freeTurn()
    let waits = 0
    const counted: Turn = {
      take: (signal) => turn.take(signal),
      step: (bytes, signal) => {
        const others = turn.step(bytes, signal)
        if (others !== undefined) waits += 1
        return others
      },
      pause: () => turn.pause(),
      end: () => turn.end(),
      get pausedSince() {
        return turn.pausedSince
      },
      get pausedTime() {
        return turn.pausedTime
      },
    }
    const options = { turn: counted }
    const { response, verdict } = await serve(patternImage(), { offset: 0, length: size }, options)
    await bodyOf(response)
    expect(await verdict).toBe('complete')
    expect(waits).toBe(0)
  })
})
