// The byte path of exports against a real socket: order, bounds, and the three outcomes.

import { createServer, get, IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sendImage } from '../../../routes/streaming.ts'
import type { ByteRange } from '../../../src/disk/extents.ts'
import { AppError } from '../../../src/errors.ts'
import type { Image } from '../../../src/image/image.ts'
import { MiB } from '../../../src/units.ts'
import { expectSameBytes, fillPattern } from '../../support/disks.ts'

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
const serve = async (image: Image, range: ByteRange, signal = new AbortController().signal) => {
  const verdict = Promise.withResolvers<string>()
  let sent = 0
  const server = createServer((_incoming, outgoing: ServerResponse) => {
    outgoing.writeHead(200, { 'content-length': range.length })
    sendImage(image, range, outgoing, { signal, onProgress: (bytes) => (sent += bytes) }).then(
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
    const { response, verdict } = await serve(image, { offset: 0, length: size }, cancel.signal)
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
    const sent = sendImage(image, range, outgoing, { signal, onProgress: () => {} })
    expect(await sent).toBe('client-left')
    expect(reads).toBe(0)
  })
})
