// The log of a VHDX: updates of its tables that were promised and may not have been made. What is
// found is replayed in memory; nothing is written to the file.

import { imageError, PastEndError } from '../../errors.ts'
import { hex, readUint64, viewOf } from '../../image/binary.ts'
import { MiB } from '../../units.ts'
import { readGuid } from '../guid.ts'
import { LOG_SECTOR } from './constants.ts'
import { isWhole } from './headers.ts'
import { applyEntry } from './log-descriptors.ts'
import type { Updates } from './updates.ts'
import { createUpdates } from './updates.ts'

const signature = 'loge'

/** Where each field of an entry stands. */
const at = {
  checksum: 4,
  length: 8,
  tail: 12,
  sequenceNumber: 16,
  descriptorCount: 24,
  logGuid: 32,
  flushedFileOffset: 48,
  lastFileOffset: 56,
} as const

interface Replay {
  readonly updates: Updates
  /** How long the file at least is afterwards: what is not there is zeros. */
  readonly fileSize: number
}

interface LogEntry {
  readonly offset: number
  readonly bytes: Uint8Array
  readonly sequenceNumber: bigint
  /** Where in the log the oldest entry that still counts begins. */
  readonly tail: number
  /** Which unbroken sequence it belongs to. */
  run: number
}

/**
 * @param log all of its bytes, a ring
 * @param fileSize in bytes, where it is known
 * @throws AppError IMPORT_ERROR_GENERIC where no whole sequence of entries is found, or one is
 *   damaged
 */
export const replayLog = (
  log: Uint8Array,
  guid: string,
  fileSize: number | undefined,
  what: string,
): Replay => {
  const name = `${what}: log`
  const sequence = activeSequence(findEntries(log, guid, name), log.length)
  const head = sequence.at(-1)
  if (head === undefined) {
    throw imageError(name, 'it should hold updates, but there is no whole sequence of them')
  }
  const view = viewOf(head.bytes)
  const flushed = readUint64(view, at.flushedFileOffset, `${name}: flushed file offset`, true)
  const last = readUint64(view, at.lastFileOffset, `${name}: last file offset`, true)
  if (fileSize !== undefined && fileSize < flushed) {
    const found = `the image has ${fileSize} bytes, its log says that it had ${flushed}`
    throw new PastEndError(what, found)
  }
  const updates = createUpdates()
  for (const { bytes, sequenceNumber, offset } of sequence) {
    const count = viewOf(bytes).getUint32(at.descriptorCount, true)
    applyEntry(updates, { bytes, count, sequenceNumber }, `${name}: entry at ${hex(offset)}`)
  }
  return { updates, fileSize: last }
}

/** How many times its own length may be summed up while entries are looked for. */
const checksumRounds = 4

/** Those that are whole and of this guid, by offset. */
const findEntries = (log: Uint8Array, guid: string, name: string): Map<number, LogEntry> => {
  const entries = new Map<number, LogEntry>()
  let budget = Math.max(log.length * checksumRounds, 16 * MiB)
  for (let offset = 0; offset < log.length;) {
    const view = viewOf(log.subarray(offset, offset + LOG_SECTOR))
    const length = view.getUint32(at.length, true)
    const isEntry =
      view.getUint32(0, false) === mark &&
      readGuid(view, at.logGuid) === guid &&
      length > 0 &&
      length % LOG_SECTOR === 0 &&
      length <= log.length
    if (isEntry) {
      budget -= length
      if (budget < 0) throw imageError(name, 'it is damaged: its entries overlap each other')
    }
    const bytes = isEntry ? ringPart(log, offset, length) : undefined
    if (bytes === undefined || !isWhole(bytes, signature, at.checksum)) {
      offset += LOG_SECTOR
      continue
    }
    const tail = view.getUint32(at.tail, true)
    const sequenceNumber = view.getBigUint64(at.sequenceNumber, true)
    entries.set(offset, { offset, bytes, sequenceNumber, tail, run: 0 })
    offset += length
  }
  return entries
}

const mark = Buffer.from(signature, 'latin1').readUInt32BE(0)

/** `length` bytes from `offset` on, past the end those at the beginning. */
const ringPart = (log: Uint8Array, offset: number, length: number): Uint8Array => {
  if (offset + length <= log.length) return log.subarray(offset, offset + length)
  const first = log.subarray(offset)
  return Buffer.concat([first, log.subarray(0, length - first.length)])
}

/** Oldest first: from the tail of the newest entry whose tail can be followed up to it. */
const activeSequence = (entries: Map<number, LogEntry>, length: number): readonly LogEntry[] => {
  const followerOf = ({ offset, bytes, sequenceNumber }: LogEntry): LogEntry | undefined => {
    const next = entries.get((offset + bytes.length) % length)
    return next?.sequenceNumber === sequenceNumber + 1n ? next : undefined
  }
  const ascending = [...entries.values()].toSorted((a, b) =>
    Number(a.sequenceNumber - b.sequenceNumber),
  )
  // Entries that follow each other share a number; each is reached from the one before it.
  for (const [index, entry] of ascending.entries()) {
    if (entry.run === 0) entry.run = index + 1
    const next = followerOf(entry)
    if (next !== undefined) next.run = entry.run
  }
  for (const head of ascending.toReversed()) {
    const oldest = entries.get(head.tail)
    if (oldest?.run !== head.run || oldest.sequenceNumber > head.sequenceNumber) continue
    return ascending.filter(
      ({ run, sequenceNumber }) =>
        run === head.run &&
        sequenceNumber >= oldest.sequenceNumber &&
        sequenceNumber <= head.sequenceNumber,
    )
  }
  return []
}
