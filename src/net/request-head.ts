// The head of an HTTP request, read by hand: just enough for the socket front to tell whose
// connection it is. What is odd in any way is left to node:http, which refuses it in its own words.

export interface RequestHead {
  readonly method: string
  /** Path and query, as they were sent. */
  readonly url: string
  readonly httpVersion: '1.0' | '1.1'
  /** Names in lower case. */
  readonly headers: Readonly<Partial<Record<string, string>>>
}

/** The longest head in bytes, as in node:http. */
export const maximumHead = 16 * 1024

const endOfHead = Buffer.from('\r\n\r\n')

/**
 * The length of the head in bytes, with its last empty line; undefined until all of it is there.
 */
export const headLength = (bytes: Buffer): number | undefined => {
  const end = bytes.indexOf(endOfHead)
  return end < 0 ? undefined : end + endOfHead.length
}

/**
 * Those that a request may have once, and that say what it is, who sends it, or under which
 * condition.
 */
export const singleHeaders: ReadonlySet<string> = new Set([
  'authorization',
  'content-encoding',
  'content-length',
  'content-md5',
  'content-range',
  'content-type',
  'host',
  'if-modified-since',
  'if-range',
  'if-unmodified-since',
  'range',
])

// RFC 9112, sections 3 and 5: no space before the colon, no folded lines, no control characters.
const requestLine = /^([A-Z]+) (\/[!-~\x80-\xff]*) HTTP\/1\.([01])$/
const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/

/**
 * @param bytes the head, as headLength told it
 * @returns undefined for what is not a plain HTTP/1 head, and where a header comes twice that may
 *   come once
 */
export const parseHead = (bytes: Buffer): RequestHead | undefined => {
  const [first = '', ...lines] = bytes
    .toString('latin1', 0, bytes.length - endOfHead.length)
    .split('\r\n')
  const request = requestLine.exec(first)
  if (request === null) return undefined
  const headers: Partial<Record<string, string>> = Object.create(null) as object
  for (const line of lines) {
    const match = headerLine.exec(line)
    if (match === null) return undefined
    const name = match[1]!.toLowerCase()
    const before = headers[name]
    if (before !== undefined && singleHeaders.has(name)) return undefined
    const value = match[2]!.trimEnd()
    // RFC 9110, section 5.3; cookies have a separator of their own.
    const separator = name === 'cookie' ? '; ' : ', '
    headers[name] = before === undefined ? value : `${before}${separator}${value}`
  }
  const [, method = '', url = ''] = request
  return { method, url, httpVersion: request[3] === '0' ? '1.0' : '1.1', headers }
}
