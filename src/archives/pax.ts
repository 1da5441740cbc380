// The records before an entry of a pax archive: what they say in the place of its header. POSIX,
// "pax Header Block": `<length> <key>=<value>\n`, the length that of the whole record.

import { imageError } from '../errors.ts'

export interface PaxRecords {
  readonly path?: string
  /** In bytes. */
  readonly size?: number
}

/**
 * Times, owners and whatever else says nothing of the content is passed over.
 * @throws AppError IMPORT_ERROR_GENERIC for what is no list of records, or says that the content is
 *   not there as it is
 */
export const parsePax = (bytes: Uint8Array, what: string): PaxRecords => {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  let records: PaxRecords = {}
  for (let start = 0; start < text.length;) {
    const space = text.indexOf(' ', start)
    const length = Number(text.toString('latin1', start, space))
    const end = start + length
    const equals = text.indexOf('=', space)
    const isRecord = space > start && Number.isInteger(length) && equals > space && equals < end
    if (!isRecord || end > text.length || text[end - 1] !== 0x0a) {
      throw imageError(what, `a pax header is damaged at its byte ${start}`)
    }
    const key = text.toString('utf8', space + 1, equals)
    records = withRecord(records, key, text.toString('utf8', equals + 1, end - 1), what)
    start = end
  }
  return records
}

const withRecord = (records: PaxRecords, key: string, value: string, what: string): PaxRecords => {
  if (key.startsWith('GNU.sparse.')) {
    throw imageError(what, 'an entry is a sparse file of GNU tar: write it without --sparse')
  }
  if (key === 'path') return { ...records, path: value }
  if (key !== 'size') return records
  const size = Number(value)
  if (/^\d+$/.test(value) && Number.isSafeInteger(size)) return { ...records, size }
  throw imageError(
    what,
    `a pax header gives an entry the size ${JSON.stringify(value.slice(0, 32))}`,
  )
}
