// Where the numbered blocks of an archive lie on the disk, checked one after the other. Asked by
// read-blocks.ts and open.ts; reads nothing.
//
// A number counts blocks: one that is left out is zeros. A file of no length counts without taking
// any room: XenServer sends one when nothing else has gone out for a while, so numbers after it are
// higher than those of the disk's blocks.

import { imageError } from '../../errors.ts'
import { formatBytes, MiB, SECTOR_SIZE } from '../../units.ts'
import { MAXIMUM_ROUNDING } from '../virtual-size.ts'
import type { Checksum } from './checksums.ts'
import { checksumOf } from './checksums.ts'
import type { TarEntry } from './header.ts'
import { quote } from './header.ts'

/** XenServer's blocks have 1 MiB; others may be as large as the first of them is. */
const MAXIMUM_BLOCK_SIZE = 16 * MiB

/** More than the numbers of the largest disk's blocks have, if each is a sector. */
const maximumDigits = 12

export interface PlacedBlock {
  /** As messages call it. */
  readonly name: string
  /** On the disk, in bytes. */
  readonly offset: number
  /** 0 for one that only counts. */
  readonly length: number
}

interface BlockSequence {
  /**
   * The place of the next block.
   * @throws AppError IMPORT_ERROR_GENERIC for an entry that is no block, or not the next one
   */
  place(entry: TarEntry): PlacedBlock
  /**
   * The checksum in the entry after a block.
   * @throws AppError IMPORT_ERROR_GENERIC where it is none, or not that of this block
   */
  requireChecksum(entry: TarEntry | undefined, block: PlacedBlock): Checksum
  /**
   * Size of the disk: where the last block ends.
   * @throws AppError IMPORT_ERROR_GENERIC where no block came, or the last only counts
   */
  finish(): number
}

interface SequenceOptions {
  /** What the names of the blocks begin with, its slash included: `Ref:12/`, or nothing. */
  readonly folder: string
  /** Of the disk; what is rounded up may go a little further. */
  readonly maximumSize: number
  readonly what: string
}

/** Up to the last slash. */
export const folderOf = (name: string): string => name.slice(0, name.lastIndexOf('/') + 1)

export const createBlockSequence = ({
  folder,
  maximumSize,
  what,
}: SequenceOptions): BlockSequence => {
  let last = -1
  let end = 0
  let blockSize = 0
  let isShort = false
  let endsInData = false
  let checksum: Checksum | undefined

  const numberOf = ({ name }: TarEntry): number => {
    const digits = name.startsWith(folder) ? name.slice(folder.length) : ''
    if (!/^\d{8,}$/.test(digits) || digits.length > maximumDigits) {
      const sample = `${folder}00000000`
      throw imageError(what, `${quote(name)} is not the number of a block, as ${quote(sample)} is`)
    }
    return Number(digits)
  }

  const requireNext = (number: number, name: string): void => {
    if (last < 0 && number !== 0) {
      throw imageError(what, `the archive begins with ${name}: the first block must be there`)
    }
    if (number > last) return
    const found = number === last ? 'comes twice' : `comes after ${last}`
    throw imageError(what, `${name} ${found}: numbers must ascend`)
  }

  const requireSize = (size: number, name: string): void => {
    const isFirst = last < 0
    if (size === 0 && !isFirst) return
    const sized = `${name} has ${formatBytes(size)}`
    if (isFirst && (size === 0 || size > MAXIMUM_BLOCK_SIZE)) {
      const limit = formatBytes(MAXIMUM_BLOCK_SIZE)
      throw imageError(what, `${sized}: the first block must have some, at most ${limit}`)
    }
    if (size % SECTOR_SIZE !== 0) {
      throw imageError(what, `${sized}, not whole sectors of ${SECTOR_SIZE} bytes`)
    }
    if (!isFirst && size > blockSize) {
      throw imageError(what, `${sized}, more than the first one's ${formatBytes(blockSize)}`)
    }
    if (isShort) {
      const found = `${name} comes after a block shorter than ${formatBytes(blockSize)}`
      throw imageError(what, `${found}, which can only be the last`)
    }
  }

  return {
    place(entry) {
      const number = numberOf(entry)
      const name = `block ${number}`
      requireNext(number, name)
      const { size } = entry
      requireSize(size, name)
      if (last < 0) blockSize = size
      const offset = end + (number - last - 1) * blockSize
      if (offset + size > maximumSize + MAXIMUM_ROUNDING) {
        const found = `${name}, ${size} bytes at ${offset}`
        const limit = `the disk has at most ${formatBytes(maximumSize)}`
        throw imageError(what, `${found}, goes past the end: ${limit}`)
      }
      last = number
      end = offset + size
      endsInData = size > 0
      isShort ||= endsInData && size < blockSize
      return { name, offset, length: size }
    },

    requireChecksum(entry, { name }) {
      const found = entry && checksumOf(entry.name)
      const expected = `${folder}${String(last).padStart(8, '0')}`
      if (entry === undefined || found === undefined) {
        const next = entry === undefined ? 'the archive ends' : `${quote(entry.name)} comes`
        throw imageError(what, `${name} has no checksum: ${next} after it`)
      }
      const numbered = entry.name.slice(folder.length, -found.ending.length)
      if (!entry.name.startsWith(folder) || Number(numbered) !== last || !/^\d+$/.test(numbered)) {
        throw imageError(
          what,
          `${quote(entry.name)} comes after ${name}, not ${quote(expected + found.ending)}`,
        )
      }
      if (checksum !== undefined && checksum !== found) {
        const others = `those before it in ${checksum.ending} files`
        throw imageError(what, `${name} has its checksum in ${quote(entry.name)}, ${others}`)
      }
      if (entry.size !== found.length) {
        const size = `${quote(entry.name)} has ${entry.size} bytes`
        throw imageError(what, `${size}, a checksum has ${found.length}`)
      }
      checksum = found
      return found
    },

    finish() {
      if (last < 0) throw imageError(what, `there is no block${folder && ` in ${quote(folder)}`}`)
      if (endsInData) return end
      throw imageError(what, `block ${last}, the last one, is empty: the last block must be there`)
    },
  }
}

/** @throws AppError IMPORT_ERROR_GENERIC where the two are not the same, in any case */
export const requireSameDigest = (
  found: string,
  expected: string,
  block: PlacedBlock,
  what: string,
): void => {
  if (found.toLowerCase() === expected.toLowerCase()) return
  const told = quote(expected)
  throw imageError(
    what,
    `the checksum of ${block.name} is ${quote(found)}, the archive says ${told}`,
  )
}
