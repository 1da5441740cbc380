// One entry of a VHDX log: descriptors of sectors to write and stretches to zero, then the sectors.

import { imageError } from '../../errors.ts'
import { hex, readUint64, viewOf } from '../../image/binary.ts'
import { alignUp } from '../../units.ts'
import { LOG_SECTOR, MAXIMUM_ZEROED_STRETCHES } from './constants.ts'
import type { Updates } from './updates.ts'

const headerLength = 64
const descriptorLength = 32

/** A sector in the log has marks in the place of its first 8 and last 4 bytes. */
const leadingLength = 8
const trailingLength = 4

interface Entry {
  readonly bytes: Uint8Array
  readonly count: number
  readonly sequenceNumber: bigint
}

/** @throws AppError IMPORT_ERROR_GENERIC for what contradicts itself */
export const applyEntry = (updates: Updates, entry: Entry, what: string): void => {
  const { bytes, count, sequenceNumber } = entry
  const view = viewOf(bytes)
  let sectorAt = alignUp(headerLength + count * descriptorLength, LOG_SECTOR)
  if (sectorAt > bytes.length) {
    throw imageError(what, `${count} descriptors do not fit its ${bytes.length} bytes`)
  }
  for (let index = 0; index < count; index += 1) {
    const at = headerLength + index * descriptorLength
    const name = `${what}: descriptor ${index}`
    if (view.getBigUint64(at + 24, true) !== sequenceNumber) {
      throw imageError(name, 'its sequence number is not that of the entry')
    }
    const offset = readUint64(view, at + 16, `${name}: file offset`, true)
    if (offset % LOG_SECTOR !== 0) {
      throw imageError(name, `the file offset ${hex(offset)} is no multiple of ${LOG_SECTOR}`)
    }
    const kind = Buffer.from(bytes.buffer, bytes.byteOffset + at, 4).toString('latin1')
    if (kind === 'zero') {
      if (updates.zeroedStretches >= MAXIMUM_ZEROED_STRETCHES) {
        throw imageError(name, `more than ${MAXIMUM_ZEROED_STRETCHES} stretches are set to zeros`)
      }
      updates.zero(offset, zeroLength(view, at, offset, name))
    } else if (kind === 'desc') {
      if (sectorAt + LOG_SECTOR > bytes.length) throw imageError(name, 'its sector is not there')
      const stored = bytes.subarray(sectorAt, sectorAt + LOG_SECTOR)
      const ends = bytes.subarray(at + 4, at + 4 + trailingLength + leadingLength)
      updates.write(offset, restoreSector(stored, ends, sequenceNumber, name))
      sectorAt += LOG_SECTOR
    } else throw imageError(name, 'it is neither of data nor of zeros')
  }
}

const zeroLength = (view: DataView, at: number, offset: number, name: string): number => {
  const length = readUint64(view, at + 8, `${name}: length`, true)
  if (length % LOG_SECTOR === 0 && Number.isSafeInteger(offset + length)) return length
  throw imageError(name, `${length} zeros at ${hex(offset)} are not whole sectors of a file`)
}

/** @param ends the last bytes of the sector, then its first, as the descriptor has them */
const restoreSector = (
  stored: Uint8Array,
  ends: Uint8Array,
  sequenceNumber: bigint,
  name: string,
): Uint8Array => {
  const view = viewOf(stored)
  const mark = Buffer.from(stored.buffer, stored.byteOffset, 4).toString('latin1')
  const high = BigInt(view.getUint32(4, true))
  const low = BigInt(view.getUint32(LOG_SECTOR - trailingLength, true))
  if (mark !== 'data' || (high << 32n) + low !== sequenceNumber) {
    throw imageError(name, 'its sector is that of another entry')
  }
  const sector = new Uint8Array(stored)
  sector.set(ends.subarray(trailingLength), 0)
  sector.set(ends.subarray(0, trailingLength), LOG_SECTOR - trailingLength)
  return sector
}
