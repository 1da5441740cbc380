// The two headers of a VHDX: of those that are whole the one with the higher sequence number
// counts.

import { imageError } from '../../errors.ts'
import { hex, readUint64, viewOf } from '../../image/binary.ts'
import { crc32c } from '../../image/crc32c.ts'
import { formatBytes } from '../../units.ts'
import { readGuid, writeGuid } from '../guid.ts'
import {
  ALIGNMENT,
  FILE_SIGNATURE,
  HEADER_LENGTH,
  HEADER_OFFSETS,
  MAXIMUM_LOG_LENGTH,
  nullGuid,
  PREFIX_LENGTH,
} from './constants.ts'

const signature = 'head'

/** Where each field stands. */
const at = {
  checksum: 4,
  sequenceNumber: 8,
  fileWriteGuid: 16,
  dataWriteGuid: 32,
  logGuid: 48,
  logVersion: 64,
  version: 66,
  logLength: 68,
  logOffset: 72,
} as const

export interface Header {
  /** What a differencing image on top calls its parent: another one for each content. */
  readonly dataWriteGuid: string
  /** Absent where nothing waits in the log. */
  readonly log?: {
    readonly guid: string
    readonly offset: number
    readonly length: number
  }
}

/**
 * @param prefix the first MiB
 * @throws AppError IMPORT_ERROR_GENERIC where neither header is whole, or what the newer one says
 *   is not supported
 */
export const readHeader = (prefix: Uint8Array, what: string): Header => {
  const start = Buffer.from(prefix.subarray(0, FILE_SIGNATURE.length)).toString('latin1')
  if (start !== FILE_SIGNATURE) {
    throw imageError(what, `this is no VHDX: it does not begin with ${FILE_SIGNATURE}`)
  }
  const candidates = HEADER_OFFSETS.map((offset) =>
    prefix.subarray(offset, offset + HEADER_LENGTH),
  ).filter((bytes) => isWhole(bytes, signature, at.checksum))
  const newest = candidates.toSorted((a, b) => Number(sequenceOf(b) - sequenceOf(a)))[0]
  if (newest === undefined) {
    const places = HEADER_OFFSETS.map(hex).join(' and ')
    throw imageError(what, `neither header, at ${places}, is whole: signature or checksum is wrong`)
  }
  return parseHeader(newest, what)
}

const sequenceOf = (bytes: Uint8Array): bigint =>
  viewOf(bytes).getBigUint64(at.sequenceNumber, true)

/**
 * Whether `bytes` begin with the signature and carry their own checksum, which was taken with
 * zeros in its place.
 */
export const isWhole = (bytes: Uint8Array, mark: string, checksumAt: number): boolean => {
  if (Buffer.from(bytes.subarray(0, mark.length)).toString('latin1') !== mark) return false
  return viewOf(bytes).getUint32(checksumAt, true) === checksumOf(bytes, checksumAt)
}

/** The checksum of `bytes` with zeros at its own place. */
export const checksumOf = (bytes: Uint8Array, checksumAt: number): number => {
  const before = crc32c(bytes.subarray(0, checksumAt))
  return crc32c(bytes.subarray(checksumAt + 4), crc32c(new Uint8Array(4), before))
}

const parseHeader = (bytes: Uint8Array, what: string): Header => {
  const view = viewOf(bytes)
  const version = view.getUint16(at.version, true)
  if (version !== 1) throw imageError(what, `the version is ${version}, only 1 is supported`)
  const dataWriteGuid = readGuid(view, at.dataWriteGuid)
  const guid = readGuid(view, at.logGuid)
  if (guid === nullGuid) return { dataWriteGuid }
  const logVersion = view.getUint16(at.logVersion, true)
  if (logVersion !== 0) {
    throw imageError(what, `the version of the log is ${logVersion}, only 0 is supported`)
  }
  const length = view.getUint32(at.logLength, true)
  const offset = readUint64(view, at.logOffset, `${what}: log offset`, true)
  if (length === 0 || length % ALIGNMENT !== 0 || length > MAXIMUM_LOG_LENGTH) {
    const limit = `must be whole MiB, up to ${formatBytes(MAXIMUM_LOG_LENGTH)}`
    throw imageError(what, `the log has a length of ${length}, ${limit}`)
  }
  if (offset < PREFIX_LENGTH || offset % ALIGNMENT !== 0) {
    throw imageError(what, `the log is at ${hex(offset)}, must be at a whole MiB from 1 MiB on`)
  }
  return { dataWriteGuid, log: { guid, offset, length } }
}

/** Nothing waits in the log, which takes the MiB after the prefix. */
interface WrittenHeader {
  readonly sequenceNumber: number
  readonly fileWriteGuid: string
  readonly dataWriteGuid: string
}

export const encodeHeader = (header: WrittenHeader): Uint8Array => {
  const bytes = new Uint8Array(HEADER_LENGTH)
  Buffer.from(bytes.buffer).write(signature, 'latin1')
  const view = viewOf(bytes)
  view.setBigUint64(at.sequenceNumber, BigInt(header.sequenceNumber), true)
  writeGuid(view, at.fileWriteGuid, header.fileWriteGuid)
  writeGuid(view, at.dataWriteGuid, header.dataWriteGuid)
  view.setUint16(at.version, 1, true)
  view.setUint32(at.logLength, ALIGNMENT, true)
  view.setBigUint64(at.logOffset, BigInt(PREFIX_LENGTH), true)
  view.setUint32(at.checksum, checksumOf(bytes, at.checksum), true)
  return bytes
}
