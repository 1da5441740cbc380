// Cuts XML into tags and texts, as far as XML-RPC needs it: no document types, and no entities but
// the five of XML and character numbers. Time grows with the length of the text and nothing else.
// xml-rpc-call.ts reads the tokens.

import { isXmlText } from './xml-text.ts'

/** What is wrong with a text that should be XML; the message never quotes it, it may hold a password. */
export class XmlError extends Error {}

export type XmlToken =
  | { readonly kind: 'open'; readonly name: string }
  | { readonly kind: 'close'; readonly name: string }
  /** Entities resolved; never empty, never beside another text. */
  | { readonly kind: 'text'; readonly text: string }

/** Of elements in elements; a record of XenAPI in a call needs 20. */
const MAXIMUM_DEPTH = 64

const declaration = /<\?xml(\s[^<>?]*)\?>/y
const encodingOf = /\sencoding\s*=\s*["']([^"']*)["']/

/** `<name a="1" b='2'/>`: attributes, such as namespaces, are passed over. */
const openTag =
  /<([A-Za-z_][\w.:-]*)(?:\s+[A-Za-z_][\w.:-]*\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*(\/?)>/y
const closeTag = /<\/([A-Za-z_][\w.:-]*)\s*>/y

/**
 * The tokens of one document with one root; each tag that opens is closed.
 * @throws XmlError naming the place, in characters
 */
export function* tokenizeXml(text: string): Generator<XmlToken, void, undefined> {
  if (!isXmlText(text)) throw new XmlError('it has characters that XML does not allow')
  const open: string[] = []
  let words = ''
  let hasRoot = false
  let at = skipDeclaration(text)
  while (at < text.length) {
    const tag = text.indexOf('<', at)
    const end = tag === -1 ? text.length : tag
    words += resolve(text.slice(at, end), at)
    at = end
    if (open.length === 0 && words.trim() !== '') throw found('text outside of the root', at)
    if (at === text.length) break
    if (text.startsWith('<!', at) || text.startsWith('<?', at)) {
      const section = readSection(text, at)
      words += section.text
      at = section.end
      continue
    }
    if (words !== '' && open.length > 0) yield { kind: 'text', text: words }
    words = ''
    if (text.startsWith('</', at)) {
      const name = match(closeTag, text, at)?.[1]
      if (name === undefined || name !== open.pop()) throw found('a closing tag out of place', at)
      yield { kind: 'close', name }
      at = closeTag.lastIndex
      continue
    }
    const [, name, isEmpty] = match(openTag, text, at) ?? []
    if (name === undefined) throw found('no tag after <', at)
    if (open.length === 0 && hasRoot) throw found('a second root', at)
    hasRoot = true
    yield { kind: 'open', name }
    at = openTag.lastIndex
    if (isEmpty === '/') yield { kind: 'close', name }
    else open.push(name)
    if (open.length > MAXIMUM_DEPTH) {
      throw new XmlError(`its elements are nested deeper than ${MAXIMUM_DEPTH}`)
    }
  }
  if (open.length > 0) throw new XmlError(`it ends before </${open.at(-1)!.slice(0, 32)}>`)
  if (!hasRoot) throw new XmlError('it has no element')
}

const found = (what: string, at: number): XmlError => new XmlError(`${what} at character ${at}`)

const match = (pattern: RegExp, text: string, at: number): RegExpExecArray | null => {
  pattern.lastIndex = at
  return pattern.exec(text)
}

/** @returns where the document begins */
const skipDeclaration = (text: string): number => {
  const attributes = match(declaration, text, 0)?.[1]
  if (attributes === undefined) return 0
  const encoding = encodingOf.exec(attributes)?.[1] ?? 'utf-8'
  if (!/^(?:utf-?8|us-ascii)$/i.test(encoding)) {
    throw new XmlError('its encoding must be UTF-8')
  }
  return declaration.lastIndex
}

/** What begins with `<!` or `<?`: comments and instructions are passed over, CDATA is text. */
const readSection = (text: string, at: number): { text: string; end: number } => {
  const sections = [
    { opening: '<!--', closing: '-->', isText: false },
    { opening: '<![CDATA[', closing: ']]>', isText: true },
    { opening: '<?', closing: '?>', isText: false },
  ]
  const section = sections.find(({ opening }) => text.startsWith(opening, at))
  if (section === undefined) throw found('a document type, which is not allowed,', at)
  const start = at + section.opening.length
  const closing = text.indexOf(section.closing, start)
  if (closing === -1) throw found(`${section.opening} without ${section.closing}`, at)
  const content = section.isText ? unifyNewlines(text.slice(start, closing)) : ''
  return { text: content, end: closing + section.closing.length }
}

/** XML, 2.11: every end of a line is read as one newline. */
const unifyNewlines = (text: string): string =>
  text.includes('\r') ? text.replaceAll(/\r\n?/g, '\n') : text

const badReference = /&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[\da-fA-F]{1,6});)/
const reference = /&(?:(amp|lt|gt|quot|apos)|#(\d+)|#x([\da-fA-F]+));/g

/** Texts between tags, with their entities resolved. */
const resolve = (text: string, at: number): string => {
  if (badReference.test(text)) throw found('an & that begins no entity of XML, in the text', at)
  return unifyNewlines(text).replaceAll(
    reference,
    (_all, name?: string, decimal?: string, hexadecimal?: string) => {
      if (name !== undefined) return named[name]!
      const code = decimal === undefined ? parseInt(hexadecimal ?? '', 16) : Number(decimal)
      const character = code <= 0x10ffff ? String.fromCodePoint(code) : '\0'
      if (!isXmlText(character)) throw found('a character that XML does not allow, in the text', at)
      return character
    },
  )
}

const named: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
}
