// What the head of an upload says of its body besides the length: a coding, a form, a part of a
// whole. The body becomes a disk as it comes, so that whatever would make it mean something else is
// refused by name, for both ways into an import.

import { compressionOfCoding, compressions } from '../src/wrapping/compressions.ts'
import { RefusedHeaderError } from './error-response.ts'

/** The value of a header by its name in lower case; lines of the same name joined by commas. */
type HeaderLines = (name: string) => string | undefined

/**
 * @returns the content codings of the body, in the order in which they were applied
 * @throws RefusedHeaderError 501 for a transfer coding other than chunked, 417 for an expectation
 *   other than 100-continue, 415 for an unknown content coding or a form, 400 for a part of a whole
 */
export const requireWholeBody = (header: HeaderLines): { readonly codings?: string[] } => {
  requireKnownTransferCoding(header('transfer-encoding'))
  requireKnownExpectation(header('expect'))
  const codings = readContentCodings(header('content-encoding'))
  requireNoForm(header('content-type'))
  requireWhole(header('content-range'), header('content-length'))
  return codings.length === 0 ? {} : { codings }
}

/** @param value of the Expect header @throws RefusedHeaderError 417 */
export const requireKnownExpectation = (value: string | undefined): void => {
  if (elementsOf(value).every((element) => element === '100-continue')) return
  throw refusal(417, 'Expect', value, 'it asks for more than this server does, leave it out')
}

/** Whether node:http reads the body right: without a transfer coding, or with chunked alone. */
export const isPlainTransfer = (value: string | undefined): boolean =>
  value === undefined || value.trim().toLowerCase() === 'chunked'

const requireKnownTransferCoding = (value: string | undefined): void => {
  if (isPlainTransfer(value)) return
  const advice = 'only chunked is known; send the image with no other coding'
  throw refusal(501, 'Transfer-Encoding', value, advice)
}

/** What undoes a coding that is not known here on the command line. */
const decoders: Readonly<Record<string, string>> = { compress: 'gzip -dc', br: 'brotli -dc' }

/** A body is compressed once; more is no client's way, and costs. */
const maximumCodings = 1

const readContentCodings = (value: string | undefined): string[] => {
  const codings = elementsOf(value).filter((coding) => coding !== 'identity')
  if (codings.length > maximumCodings) {
    const advice = 'one coding of the body is undone, not several one after the other'
    throw refusal(415, 'Content-Encoding', value, advice, acceptedCodings)
  }
  const [unknown] = codings.filter((coding) => compressionOfCoding(coding) === undefined)
  if (unknown === undefined) return codings
  const decoder = decoders[unknown]
  const way =
    decoder === undefined
      ? 'decode it before you send it'
      : `send the image itself: ${decoder} FILE | curl -T - URL`
  const advice = `this coding is not known here; ${way}`
  throw refusal(415, 'Content-Encoding', value, advice, acceptedCodings)
}

/** RFC 9110, section 15.5.16: what would have been taken. */
const acceptedCodings = {
  'accept-encoding': [...compressions.map(({ codings: [name] }) => name), 'identity'].join(', '),
}

const requireNoForm = (value: string | undefined): void => {
  const types = elementsOf(value).map((type) => type.replace(/;.*$/s, '').trim())
  const headers = { accept: 'application/octet-stream' }
  if (types.some((type) => type.startsWith('multipart/'))) {
    const advice =
      'the body is the image in an envelope of parts; send the image alone: curl -T FILE'
    throw refusal(415, 'Content-Type', value, advice, headers)
  }
  if (types.includes('application/x-www-form-urlencoded')) {
    const advice =
      "it says that the body is a form, as curl -d and Python's urllib do unasked; use curl -T FILE, or send Content-Type: application/octet-stream"
    throw refusal(415, 'Content-Type', value, advice, headers)
  }
}

/** RFC 9110, section 14.4. A range that is the whole, as its length proves, says nothing. */
const requireWhole = (range: string | undefined, length: string | undefined): void => {
  if (range === undefined) return
  const match = /^bytes +0-(\d+)\/(\d+)$/i.exec(range.trim())
  const [, last, total] = match ?? []
  if (last !== undefined && Number(last) + 1 === Number(total) && total === length) return
  const advice =
    'an upload is the whole image and cannot be resumed or sent in parts; send all of it, without Content-Range (curl: without -C and -r)'
  throw refusal(400, 'Content-Range', range, advice)
}

/** The elements of a list, in lower case. */
const elementsOf = (value: string | undefined): string[] =>
  (value ?? '')
    .toLowerCase()
    .split(',')
    .map((element) => element.trim())
    .filter((element) => element !== '')

/** As much of a value as a message shows. */
const shownLength = 100

const refusal = (
  status: 400 | 415 | 417 | 501,
  name: string,
  value: string | undefined,
  advice: string,
  headers: Readonly<Record<string, string>> = {},
): RefusedHeaderError => {
  const shown = (value ?? '').slice(0, shownLength)
  return new RefusedHeaderError(
    status,
    name,
    shown,
    `The header "${name}: ${shown}" is refused: ${advice}`,
    headers,
  )
}
