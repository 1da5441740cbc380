// What a map from a stranger may not do to the parser.

import { describe, expect, test } from 'vitest'
import { readBlockMapJson } from '../../../src/disk/block-map-json.ts'
import { boundJson } from '../../../src/disk/bound-json.ts'

const entry = '{"start":0,"length":1024,"data":true'

const endless = (head: string, piece: string) => {
  let pieces = 0
  return {
    async *text() {
      yield Buffer.from(head)
      // A reader that does not stop would go on for gigabytes.
      for (; pieces < 1_000_000; pieces += 1) yield Buffer.from(piece)
    },
    pieces: () => pieces,
  }
}

describe('maps of strangers', () => {
  test.each([
    ['an endless number', `[{"start":`, '1234567890'.repeat(100), /more than 4096 bytes/],
    ['an endless name', `[{"`, 'name'.repeat(100), /more than 4096 bytes/],
    ['an endless text', `[${entry},"filename":"`, 'x'.repeat(100), /more than 4096 bytes/],
    ['escapes without end', `[${entry},"filename":"`, '\\"'.repeat(100), /more than 4096 bytes/],
    ['an endless word', `[`, 'true'.repeat(100), /block map|more than 4096 bytes/],
    ['arrays in arrays', ``, '[', /nested deeper than 2/],
    ['objects in objects', `[{"a":`, '{"a":', /nested deeper than 2/],
    ['entries without end', `[${entry}}`, `,${entry}}`, /entry 1 starts at 0, expected 1024/],
    [
      'entries beyond the end',
      `[${entry}}`,
      `,{"start":1024,"length":512,"data":true}`,
      /leaves the 1024 bytes/,
    ],
  ])('%s is refused before much of it is read', async (_name, head, piece, message) => {
    const source = endless(head, piece)
    await expect(readBlockMapJson(source.text(), 1024)).rejects.toThrow(message)
    expect(source.pieces()).toBeLessThan(10_000)
  })

  test('numbers that are none of a disk are refused', async () => {
    for (const length of ['1e400', '9007199254740993', '-1', '1.5', '0']) {
      const text = `[{"start":0,"length":${length},"data":true}]`
      const reading = readBlockMapJson(pieceOf(text), 1024)
      await expect(reading).rejects.toMatchObject({ code: 'IMPORT_ERROR_GENERIC' })
    }
  })

  test('a text longer than the limit is refused, one as long is not', async () => {
    const limits = { what: 'Cannot read', bytes: 10, depth: 1, tokenLength: 10 }
    await expect(Array.fromAsync(boundJson(pieceOf('[11111111]'), limits))).resolves.toHaveLength(1)
    await expect(Array.fromAsync(boundJson(pieceOf('[111111111]'), limits))).rejects.toThrow(
      'longer than 10 bytes',
    )
  })
})

async function* pieceOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}
