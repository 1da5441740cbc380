// Bodies of unknown length against a real socket: what is cut never ends like what is whole.

import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sendChunks } from '../../../routes/streaming.ts'
import { AppError } from '../../../src/errors.ts'
import { createTurns } from '../../../src/transfer/turns.ts'
import { MiB } from '../../../src/units.ts'
import { expectSameBytes, fillPattern } from '../../support/disks.ts'
import { freeTurn } from '../../support/turns.ts'
import { eventually } from '../../support/wait.ts'

const chunkCount = 160
const chunkSize = MiB / 4
const size = chunkCount * chunkSize

/** 40 MiB of pattern; `onChunk` sees each and may throw. Tells when it has been left. */
const createSource = (onChunk: (index: number) => void = () => {}) => {
  const source = {
    made: 0,
    isClosed: false,
    async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        for (let index = 0; index < chunkCount; index += 1) {
          onChunk(index)
          const bytes = new Uint8Array(chunkSize)
          fillPattern(index * chunkSize, bytes)
          source.made += 1
          yield bytes
        }
      } finally {
        source.isClosed = true
      }
    },
  }
  return source
}

type Source = ReturnType<typeof createSource>

const serve = async (
  source: Source,
  {
    signal = new AbortController().signal,
    turn = freeTurn(),
    stallTimeout = 900_000,
    verify = async () => {},
  } = {},
) => {
  const verdict = Promise.withResolvers<string>()
  verdict.promise.catch(() => {})
  let sent = 0
  const server = createServer((_incoming, outgoing: ServerResponse) => {
    const writeHead = (): void => void outgoing.writeHead(200)
    const onProgress = (bytes: number): void => void (sent += bytes)
    const options = { turn, stallTimeout, signal, onProgress, verify, writeHead }
    const refuse = (error: Error): void => {
      verdict.reject(error)
      if (!outgoing.headersSent) outgoing.writeHead(500).end('refused')
    }
    sendChunks(() => source.chunks(), outgoing, options).then(verdict.resolve, refuse)
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
  return { response, verdict: verdict.promise, sent: () => sent }
}

const bodyOf = async (response: IncomingMessage): Promise<Uint8Array> =>
  Buffer.concat((await Array.fromAsync(response)) as Uint8Array[])

describe('sendChunks', () => {
  test('everything arrives in order, without a length', async () => {
    const source = createSource()
    const { response, verdict, sent } = await serve(source)
    expect(response.headers['transfer-encoding']).toBe('chunked')
    const expected = new Uint8Array(size)
    fillPattern(0, expected)
    expectSameBytes(await bodyOf(response), expected)
    expect(await verdict).toBe('complete')
    expect(sent()).toBe(size)
    expect(source.isClosed).toBe(true)
  })

  test('nothing is made far ahead of a client that does not read', async () => {
    const turn = freeTurn()
    const source = createSource()
    const { response, verdict } = await serve(source, { turn })
    response.pause()
    await eventually('the transfer to be paused', async () => turn.pausedSince)
    // What waits here and what the kernel's socket buffers take, far below the 40 MiB there are.
    expect(source.made * chunkSize).toBeLessThan(24 * MiB)
    response.destroy()
    expect(await verdict).toBe('client-left')
    expect(source.isClosed).toBe(true)
  })

  test('while the client takes nothing, its place is for others; then it goes on', async () => {
    const turns = createTurns(1)
    const turn = turns.turn('slow')
    void turn.take()
    const { response, verdict } = await serve(createSource(), { turn })
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

  test('a failure before the first chunk leaves the answer to the caller', async () => {
    const source = createSource(() => {
      throw new AppError('VDI_IO_ERROR', ['a bad sector'])
    })
    const { response, verdict } = await serve(source)
    expect(response.statusCode).toBe(500)
    expect(Buffer.from(await bodyOf(response)).toString()).toBe('refused')
    await expect(verdict).rejects.toThrow('a bad sector')
  })

  test('a failure midway destroys the connection: the client sees a cut body', async () => {
    const source = createSource((index) => {
      if (index === 80) throw new AppError('VDI_IO_ERROR', ['a bad sector'])
    })
    const { response, verdict } = await serve(source)
    await expect(bodyOf(response)).rejects.toThrow('aborted')
    await expect(verdict).rejects.toThrow('a bad sector')
  })

  test('content that was changed meanwhile is not ended, though all of it has been sent', async () => {
    const verify = () => Promise.reject(new AppError('VDI_IO_ERROR', ['it was changed']))
    const source = createSource()
    const { response, verdict } = await serve(source, { verify })
    await expect(bodyOf(response)).rejects.toThrow('aborted')
    await expect(verdict).rejects.toThrow('it was changed')
    expect(source.made).toBe(chunkCount)
  })

  test('a cancelled transfer destroys the connection and throws the reason', async () => {
    const cancel = new AbortController()
    const source = createSource((index) => {
      if (index === 80) cancel.abort(new AppError('TASK_CANCELLED', ['x']))
    })
    const { response, verdict } = await serve(source, cancel)
    await expect(bodyOf(response)).rejects.toThrow('aborted')
    await expect(verdict).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    expect(source.isClosed).toBe(true)
  })

  test('a client that takes nothing for too long is cut off, and the reason thrown', async () => {
    const { response, verdict } = await serve(createSource(), { stallTimeout: 50 })
    response.pause()
    await expect(verdict).rejects.toThrow(
      'Cannot send the image: the client took nothing for 0.05 s',
    )
  })
})
