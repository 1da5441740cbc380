// Answers in pieces: the same bytes as in one, made in steps, and what they hold.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LongText } from '../../../../src/disk/long-text.ts'
import { AppError } from '../../../../src/errors.ts'
import { MiB } from '../../../../src/units.ts'
import { AnswerBuilder } from '../../../../src/xenapi/rpc/answer.ts'
import { createAnswerRoom } from '../../../../src/xenapi/wire/answer-room.ts'
import type { Dispatcher } from '../../../../src/xenapi/dispatch.ts'
import { createJsonRpc } from '../../../../src/xenapi/rpc/json-rpc.ts'
import { jsonParts } from '../../../../src/xenapi/wire/json-value.ts'
import type { Wire } from '../../../../src/xenapi/wire/values.ts'
import { toXmlValue, xmlParts } from '../../../../src/xenapi/wire/xml-value.ts'
import { createXmlRpc } from '../../../../src/xenapi/rpc/xml-rpc.ts'
import { inTexts, textOf } from '../../../support/answers.ts'
import { turnsDuring } from '../../../support/event-loop.ts'

/** Answers each call with the next of these. */
const dispatcherOf = (...results: (Wire | AppError)[]): Dispatcher => ({
  async call() {
    const result = results.shift()!
    if (result instanceof AppError) throw result
    return result
  },
  idle: async () => {},
})

const call = JSON.stringify({ jsonrpc: '2.0', method: 'a.b', params: [], id: 1 })

/** A long text of `count` pieces that says how many were made. */
const countedText = (count: number, weight = 0) => {
  let made = 0
  const piece = 'A'.repeat(65_536)
  const text = new LongText(count * piece.length, weight, function* pieces() {
    for (; made < count; made += 1) yield piece
  })
  return { text, made: () => made }
}

const records = (count: number): Wire =>
  Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      `OpaqueRef:${index}`,
      { uuid: String(index), name_label: `disk ${index} ä💾`, other_config: { a: 'b' }, set: [] },
    ]),
  )

test('parts together are the text in one', () => {
  const { wires } = fc.letrec<{ wires: Wire }>((tie) => ({
    wires: fc.oneof(
      { depthSize: 'medium' },
      fc.string({ unit: 'grapheme' }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.integer().map(BigInt),
      fc.boolean(),
      fc.date({ min: new Date(0), max: new Date(2e12), noInvalidDate: true }),
      fc.constant(new LongText(4, 0, () => ['QU', 'FB'])),
      fc.array(tie('wires')),
      fc.dictionary(fc.string(), tie('wires')),
    ),
  }))
  fc.assert(
    fc.property(wires, fc.integer({ min: 0, max: 6 }), (wire, depth) => {
      expect([...jsonParts(wire, depth)].join('')).toBe([...jsonParts(wire, 0)].join(''))
      expect([...xmlParts(wire, depth)].join('')).toBe(toXmlValue(wire))
    }),
  )
})

describe('an answer of many records', () => {
  test.each(['JSON', 'XML'])('is made in steps, in %s', async (form) => {
    const dispatcher = dispatcherOf(records(30_000))
    const room = createAnswerRoom()
    const answering =
      form === 'JSON'
        ? () => createJsonRpc(dispatcher, room)(call)
        : () => createXmlRpc(dispatcher, room)(xmlCall)
    const turns = await turnsDuring(async () => {
      const answer = await answering()
      expect(answer.length).toBeGreaterThan(2.5 * MiB)
      answer.release()
    })
    expect(turns).toBeGreaterThan(20)
  })

  test('is the same JSON as ever', async () => {
    const result = records(20_000)
    const text = await inTexts(createJsonRpc(dispatcherOf(result), createAnswerRoom()))(call)
    expect(text).toBe(JSON.stringify({ jsonrpc: '2.0', result, id: 1 }))
  })

  test('counts as long as it has not left', async () => {
    const room = createAnswerRoom({ bytes: 2 * MiB, patience: 1 })
    const answer = await createJsonRpc(dispatcherOf(records(30_000)), room)(call)
    expect(answer.length).toBeGreaterThan(2 * MiB)
    const work = room.begin()
    await expect(work.enter()).rejects.toMatchObject({ code: 'TOO_BUSY' })
    answer.release()
    await room.begin().enter()
  })

  test('that finds no room is a failure, and nothing of it is left in the answer', async () => {
    const room = createAnswerRoom({ places: 1, patience: 1 })
    await room.begin().enter()
    const batch = `[${call},${call}]`
    const jsonRpc = inTexts(createJsonRpc(dispatcherOf(records(30_000), 'small'), room))
    expect(JSON.parse(await jsonRpc(batch))).toEqual([
      { jsonrpc: '2.0', error: { code: 1, message: 'TOO_BUSY', data: [] }, id: 1 },
      { jsonrpc: '2.0', result: 'small', id: 1 },
    ])
    const xmlRpc = inTexts(createXmlRpc(dispatcherOf(records(30_000)), room))
    expect(await xmlRpc(xmlCall)).toMatch(/^<\?xml version="1.0"\?><methodResponse>.*TOO_BUSY/)
  })
})

const xmlCall = '<methodCall><methodName>a.b</methodName></methodCall>'

describe('a long text', () => {
  test.each(['JSON', 'XML'])('is made while it is read, in %s', async (form) => {
    const { text, made } = countedText(700)
    const dispatcher = dispatcherOf(text)
    const room = createAnswerRoom()
    const answer = await (form === 'JSON'
      ? createJsonRpc(dispatcher, room)(call)
      : createXmlRpc(dispatcher, room)(xmlCall))
    expect(made()).toBe(0)
    const pieces = answer.pieces()
    let first: Uint8Array = pieces.next().value!
    // The head of the answer may be a piece of its own.
    if (first.length < 65_536) first = pieces.next().value!
    expect(first.length).toBe(65_536)
    expect(made()).toBe(0)
    pieces.next()
    expect(made()).toBe(1)
    pieces.return()
  })

  test('stands in its place, between quotes', async () => {
    const { text } = countedText(2)
    const answer = await createJsonRpc(dispatcherOf(text), createAnswerRoom())(call)
    expect(textOf(answer)).toBe(`{"jsonrpc":"2.0","result":"${'A'.repeat(131_072)}","id":1}`)
  })

  test('counts with what it is made from', async () => {
    const room = createAnswerRoom({ bytes: 1000, patience: 1 })
    const builder = new AnswerBuilder(room.begin())
    await builder.add([countedText(2, 1000).text])
    const other = room.begin()
    await other.enter()
    other.leave()
    const work = room.begin()
    work.user('root')
    const owned = new AnswerBuilder(work)
    await owned.add([countedText(2, 1000).text])
    const answer = owned.finish()
    await expect(room.begin().enter()).rejects.toMatchObject({ code: 'TOO_BUSY' })
    answer.release()
    await room.begin().enter()
  })
})
