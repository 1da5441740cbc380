// A guard in front of a JSON parser. It passes text through and refuses what would make the parser
// buffer too much: deep nesting, and endless names or numbers. It does not check that the text is
// valid JSON; the parser does.

import { imageError } from '../errors.ts'

interface JsonLimits {
  /** The start of the message: `Cannot read the block map`. */
  readonly what: string
  /** The largest size of the whole text. */
  readonly bytes: number
  /** The deepest nesting of arrays and objects. */
  readonly depth: number
  /** The largest number of bytes in a name, a string, a number or a word. */
  readonly tokenLength: number
}

const quote = 0x22
const backslash = 0x5c
/** `[` and `{`. The next line holds the characters that close them. */
const opening = new Set([0x5b, 0x7b])
const closing = new Set([0x5d, 0x7d])
/** White space, `,` and `:`, which end a number or a word. */
const between = new Set([0x20, 0x09, 0x0a, 0x0d, 0x2c, 0x3a])

/** @throws AppError IMPORT_ERROR_GENERIC if the text exceeds one of the limits */
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
