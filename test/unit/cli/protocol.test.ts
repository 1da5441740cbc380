// Each message of the thin CLI protocol, byte by byte, as real clients and servers write it.

import { Duplex } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { ConnectionLostError, createMessageStream } from '../../../src/cli/message-stream.ts'
import type { Message } from '../../../src/cli/protocol.ts'
import {
  checkPreamble,
  decodeLength,
  decodeMessage,
  encodeMessage,
  encodePreamble,
  ProtocolError,
} from '../../../src/cli/protocol.ts'

/** 32-bit little-endian integers, and the bytes of strings. */
const bytes = (...parts: (number | string)[]): Buffer =>
  Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'string') return Buffer.from(part, 'utf8')
      const int = Buffer.alloc(4)
      int.writeInt32LE(part)
      return int
    }),
  )

const onTheWire: readonly (readonly [Message, Buffer])[] = [
  [{ kind: 'print', text: 'héllo' }, bytes(18, 9, 0, 6, 'héllo')],
  [{ kind: 'print', text: '' }, bytes(12, 9, 0, 0)],
  [{ kind: 'load', fileName: '/a' }, bytes(14, 9, 1, 2, '/a')],
  [{ kind: 'prompt' }, bytes(8, 9, 3)],
  [{ kind: 'exit', code: 0 }, bytes(12, 9, 4, 0)],
  [{ kind: 'exit', code: -1 }, bytes(12, 9, 4, -1)],
  [{ kind: 'httpGet', fileName: 'f', url: '/u?a=b' }, bytes(23, 9, 12, 1, 'f', 6, '/u?a=b')],
  [{ kind: 'httpPut', fileName: '', url: '/u' }, bytes(18, 9, 13, 0, 2, '/u')],
  [{ kind: 'error', code: 'E', params: ['a', 'bc'] }, bytes(28, 9, 14, 1, 'E', 2, 1, 'a', 2, 'bc')],
  [{ kind: 'error', code: 'E', params: [] }, bytes(17, 9, 14, 1, 'E', 0)],
  [{ kind: 'debug', text: 'd' }, bytes(13, 9, 15, 1, 'd')],
  [{ kind: 'printStderr', text: 'e\n' }, bytes(14, 9, 16, 2, 'e\n')],
  [{ kind: 'httpConnect', url: '/c' }, bytes(14, 9, 17, 2, '/c')],
  [{ kind: 'ok' }, bytes(8, 10, 5)],
  [{ kind: 'failed' }, bytes(8, 10, 6)],
  [{ kind: 'wait' }, bytes(8, 10, 18)],
  [{ kind: 'chunk', length: 70_000 }, bytes(12, 11, 7, 70_000)],
  [{ kind: 'end' }, bytes(8, 11, 8)],
]

describe('messages', () => {
  test.each(onTheWire)('%j', (message, wire) => {
    expect(encodeMessage(message).toString('hex')).toBe(wire.toString('hex'))
    expect(decodeLength(wire, 1000)).toBe(wire.length - 4)
    expect(decodeMessage(wire.subarray(4))).toEqual(message)
  })

  test.each([
    [bytes(9, 99), 'Unknown message 99 of group 9'],
    [bytes(12, 0), 'Unknown message 0 of group 12'],
    [bytes(9), 'A message of 4 bytes, its fields need 8'],
    [bytes(9, 4), 'A message of 8 bytes, its fields need 12'],
    [bytes(9, 0, 5, 'abcd'), 'A message of 16 bytes, its fields need 17'],
    [bytes(9, 0, -1), 'A message of 12 bytes, its fields need 11'],
    [bytes(9, 14, 0, 1_000_000_000), 'A message of 16 bytes, its fields need 4000000016'],
    [bytes(10, 5, 1), '4 bytes too many in the message ok'],
  ])('a payload that breaks the rules: %#', (payload, reason) => {
    expect(() => decodeMessage(payload)).toThrow(new ProtocolError(reason))
  })

  test.each([-1, 0, 7, 1001, 2 ** 31 - 1])('a length of %i', (length) => {
    expect(() => decodeLength(bytes(length), 1000)).toThrow('it must have from 8 to 1000')
  })
})

describe('the preamble', () => {
  test('is 35 bytes: the name, 0 and 2', () => {
    const preamble = bytes('XenSource thin CLI protocol', 0, 2)
    expect(encodePreamble().toString('hex')).toBe(preamble.toString('hex'))
    expect(() => checkPreamble(preamble)).not.toThrow()
    expect(() => checkPreamble(bytes('XenSource thin CLI protocol', 0, 1))).not.toThrow()
  })

  test('of another version or protocol is refused', () => {
    const other = bytes('XenSource thin CLI protocol', 1, 0)
    expect(() => checkPreamble(other)).toThrow('Version 1.0 of the thin CLI protocol, ours is 0.2')
    const http = Buffer.from('HTTP/1.1 400 Bad Request\r\n'.padEnd(35))
    expect(() => checkPreamble(http)).toThrow('does not speak the thin CLI protocol: "HTTP/1.1 400')
  })
})

describe('a stream of messages', () => {
  const streamOf = (chunks: readonly Buffer[]) =>
    createMessageStream(
      Duplex.from(async function* () {
        yield* chunks
      }),
      1000,
    )

  test('cut at every byte', async () => {
    const all = Buffer.concat([encodePreamble(), ...onTheWire.map(([, wire]) => wire)])
    for (const size of [1, 2, 3, 5, 7, 100, all.length]) {
      const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
        all.subarray(index * size, (index + 1) * size),
      )
      const stream = streamOf(chunks)
      await stream.receivePreamble()
      for (const [message] of onTheWire) expect(await stream.receive()).toEqual(message)
      await expect(stream.receive()).rejects.toThrow(ConnectionLostError)
    }
  })

  test('that ends in the middle of a message', async () => {
    const stream = streamOf([encodeMessage({ kind: 'print', text: 'abc' }).subarray(0, 10)])
    await expect(stream.receive()).rejects.toThrow(ConnectionLostError)
  })

  test('a length beyond the bound is refused before its bytes are waited for', async () => {
    await expect(streamOf([bytes(1001)]).receive()).rejects.toThrow(ProtocolError)
  })

  test('the bytes of a chunk lie between messages', async () => {
    const chunk = [encodeMessage({ kind: 'chunk', length: 6 }), Buffer.from('abcdef')]
    const stream = streamOf([Buffer.concat([...chunk, encodeMessage({ kind: 'end' })])])
    expect(await stream.receive()).toEqual({ kind: 'chunk', length: 6 })
    expect((await stream.readSome(4)).toString()).toBe('abcd')
    expect((await stream.readBytes(2)).toString()).toBe('ef')
    expect(await stream.receive()).toEqual({ kind: 'end' })
  })
})
