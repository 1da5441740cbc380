// A guard before a JSON parser: passes text on as it comes and refuses what would make the parser
// hold much of it, deep nesting and endless names or numbers. Whether it is JSON, the parser says.

import { imageError } from '../errors.ts'

interface JsonLimits {
  /** Of the message: `Cannot read the block map`. */
  readonly what: string
  /** Of the whole text. */
  readonly bytes: number
  /** Arrays and objects inside each other. */
  readonly depth: number
  /** Bytes of a name, a text, a number or a word. */
  readonly tokenLength: number
}

const quote = 0x22
const backslash = 0x5c
/** `[` and `{`, and what closes them. */
const opening = new Set([0x5b, 0x7b])
const closing = new Set([0x5d, 0x7d])
/** White space, `,` and `:`: they end a number or a word. */
const between = new Set([0x20, 0x09, 0x0a, 0x0d, 0x2c, 0x3a])

/** @throws AppError IMPORT_ERROR_GENERIC for a text beyond one of the limits */
export async function* boundJson(
  source: AsyncIterable<Uint8Array>,
  { what, bytes, depth, tokenLength }: JsonLimits,
): AsyncGenerator<Uint8Array, void, undefined> {
  let total = 0
  let level = 0
  let token = 0
  let isText = false
  let isEscaped = false
  for await (const piece of source) {
    total += piece.length
    if (total > bytes) throw imageError(what, `it is longer than ${bytes} bytes`)
    for (const byte of piece) {
      if (isText) {
        token += 1
        if (isEscaped) isEscaped = false
        else if (byte === backslash) isEscaped = true
        else if (byte === quote) isText = false
      } else if (byte === quote) {
        isText = true
        token = 0
      } else if (opening.has(byte)) {
        level += 1
        token = 0
        if (level > depth) throw imageError(what, `it is nested deeper than ${depth}`)
      } else if (closing.has(byte)) {
        level -= 1
        token = 0
      } else if (between.has(byte)) {
        token = 0
      } else {
        token += 1
      }
      if (token > tokenLength) {
        throw imageError(what, `a name or number has more than ${tokenLength} bytes`)
      }
    }
    yield piece
  }
}
