// Cuts XML into tags and texts, for XML-RPC: saxes reads it, strictly, and this file bounds what it
// makes of it and says what is wrong. No document types, and no entities but the five of XML and
// character numbers. xml-rpc-call.ts reads the tokens.

import { SaxesParser } from 'saxes'
import { MiB } from '../../units.ts'

/**
 * What is wrong with a text that should be XML; the message never quotes it, it may hold a
 * password.
 */
export class XmlError extends Error {}

export type XmlToken =
  | { readonly kind: 'open'; readonly name: string }
  | { readonly kind: 'close'; readonly name: string }
  /** Entities resolved; never empty, never beside another text. */
  | { readonly kind: 'text'; readonly text: string }

/** One document with one root, as it comes. */
interface XmlTokenizer {
  /** The next piece, cut anywhere. @throws XmlError naming the place, in characters */
  write(piece: string): void
  /** The document has ended: its tokens; each tag that opens is closed. @throws XmlError */
  end(): readonly XmlToken[]
}

/** Of elements in elements; a record of XenAPI in a call needs 20. */
const MAXIMUM_DEPTH = 64

/** Of a document; a map of XenAPI takes three for an entry. */
const MAXIMUM_ELEMENTS = 20_000

/** Of an element; XML-RPC knows none, some clients declare namespaces. */
const MAXIMUM_ATTRIBUTES = 16

/** Of a document, in UTF-16 units. */
const MAXIMUM_LENGTH = MiB

export const createXmlTokenizer = (): XmlTokenizer => {
  // Whatever version a document claims to be, it is read as 1.0. Without `position` messages are
  // bare.
  const parser = new SaxesParser({
    position: false,
    forceXMLVersion: true,
    defaultXMLVersion: '1.0',
  })
  const tokens: XmlToken[] = []
  const words: string[] = []
  const open: string[] = []
  let length = 0
  let elements = 0
  let attributes = 0

  const found = (what: string): XmlError => new XmlError(`${what} at character ${parser.position}`)
  const flush = (): void => {
    const text = words.splice(0).join('')
    if (text !== '') tokens.push({ kind: 'text', text })
  }
  /** What stands outside of the root can only be blanks. */
  const addText = (text: string): void => {
    if (open.length > 0) words.push(text)
  }
  parser.on('error', ({ message }) => {
    // What has begun with < or & goes on to its own end, and may have none.
    const unclosed = open.at(-1)?.slice(0, 32)
    if (message.startsWith('unclosed tag')) {
      throw new XmlError(`it ends before </${unclosed}>, or within what < or & began`)
    }
    throw found(wordsFor(message))
  })
  parser.on('doctype', () => {
    throw found('a document type, which is not allowed,')
  })
  parser.on('xmldecl', ({ encoding = 'utf-8' }) => {
    if (!/^(?:utf-?8|us-ascii)$/i.test(encoding)) throw new XmlError('its encoding must be UTF-8')
  })
  parser.on('text', addText)
  parser.on('cdata', addText)
  parser.on('opentagstart', () => {
    attributes = 0
    elements += 1
    if (elements > MAXIMUM_ELEMENTS) {
      throw new XmlError(`it has more than ${MAXIMUM_ELEMENTS} elements`)
    }
    if (open.length >= MAXIMUM_DEPTH) {
      throw new XmlError(`its elements are nested deeper than ${MAXIMUM_DEPTH}`)
    }
  })
  parser.on('attribute', () => {
    attributes += 1
    if (attributes > MAXIMUM_ATTRIBUTES) {
      throw found(`an element with more than ${MAXIMUM_ATTRIBUTES} attributes`)
    }
  })
  parser.on('opentag', ({ name }) => {
    flush()
    tokens.push({ kind: 'open', name })
    open.push(name)
  })
  parser.on('closetag', ({ name }) => {
    flush()
    tokens.push({ kind: 'close', name })
    open.pop()
  })
  return {
    write(piece) {
      length += piece.length
      if (length > MAXIMUM_LENGTH) {
        throw new XmlError(`it is longer than ${MAXIMUM_LENGTH} characters`)
      }
      parser.write(piece)
    },
    end() {
      parser.close()
      return tokens
    },
  }
}

/** Words that quote nothing, for messages of saxes, some of which do; by how these begin. */
const wordsFor = (message: string): string =>
  sentences.find(([start]) => start.test(message))?.[1] ?? 'something that is not well-formed XML'

const sentences: readonly (readonly [start: RegExp, words: string])[] = [
  [/^text data outside/, 'text outside of the root'],
  [/^documents may contain only one root/, 'a second root'],
  [/^document must contain a root/, 'the end before any element'],
  [/^(?:unexpected|unmatched|weird empty) clos/, 'a closing tag out of place'],
  [/^unexpected end/, 'the end within what < or & began'],
  [/^inappropriately located doctype/, 'a document type, which is not allowed,'],
  [/^(?:undefined|empty) entity|in entity name/, 'an & that begins no entity of XML'],
  [/^malformed character entity/, 'the number of a character that XML does not allow'],
  [/^disallowed character\./, 'a character that XML does not allow there'],
  [/^duplicate attribute/, 'an attribute that comes twice'],
  [/attribute|^no whitespace between/, 'an attribute that is not written as name="value"'],
  [/in (?:opening |closing )?tag|in tag name/, 'a tag that is not well-formed'],
  [/^malformed comment/, 'a comment that holds --'],
  [/declaration|^(?:value|whitespace|version|encoding|standalone|expected)/, 'a bad declaration'],
]
