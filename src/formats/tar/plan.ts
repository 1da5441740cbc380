// Disk → Image for tar, as XenServer lays it out, for each block of 1 MiB that holds data, and for
// the first and the last:
//
//   512          header of `vdi/00000003`
//   1 MiB        the block; the last one ends with the disk
//   512          header of `vdi/00000003.checksum`
//   512          SHA-1 of the block as 40 hex digits (or XXH64 as 16), zeros
//
// and 1024 zeros at the end. XenServer reads nothing without the folder `vdi`.

import type { Disk } from '../../disk/disk.ts'
import type { UnitRuns } from '../../disk/unit-runs.ts'
import { createRunBuilder } from '../../disk/unit-runs.ts'
import { AppError } from '../../errors.ts'
import type { Image } from '../../image/image.ts'
import type { Region } from '../../image/layout-image.ts'
import { bytesRegion, createLayoutImage } from '../../image/layout-image.ts'
import { vdiTooLarge } from '../../object-errors.ts'
import { MAXIMUM_DISK_SIZE, MiB, unitsFor } from '../../units.ts'
import type { ImageIdentity, PlanOptions } from '../format.ts'
import type { Checksum } from './checksums.ts'
import { checksums } from './checksums.ts'
import { createDigests } from './digests.ts'
import { encodeHeader, HEADER_LENGTH } from './header.ts'

const BLOCK_SIZE = MiB

/** See ImageFormat.plan. */
export const planTar = async (
  disk: Disk,
  identity: ImageIdentity,
  { subformat = 'sha1' }: PlanOptions = {},
): Promise<Image> => {
  const { uuid, timestamp, base } = identity
  if (base !== undefined) {
    const reason = 'there is no tar delta, ask for vhd or qcow2'
    throw new AppError('VALUE_NOT_SUPPORTED', ['base', base.uuid, reason])
  }
  if (disk.size > MAXIMUM_DISK_SIZE) throw vdiTooLarge(uuid, MAXIMUM_DISK_SIZE)
  const checksum = checksums[subformat === 'xxhash' ? 'xxhash' : 'sha1']
  const changedAt = Math.max(0, Math.floor(timestamp.getTime() / 1000))
  const blocks = blocksRegion({ disk, runs: await presentBlocks(disk), checksum, changedAt })
  const end = bytesRegion(new Uint8Array(2 * HEADER_LENGTH))
  return createLayoutImage([blocks, end], () => disk.close())
}

/** Those that hold data, the first and the last. */
const presentBlocks = async (disk: Disk): Promise<UnitRuns> => {
  const last = unitsFor(disk.size, BLOCK_SIZE) - 1
  const builder = createRunBuilder()
  builder.add(0, 1)
  for await (const { offset, length, kind } of disk.extents()) {
    if (kind !== 'data') continue
    builder.add(Math.floor(offset / BLOCK_SIZE), unitsFor(offset + length, BLOCK_SIZE))
  }
  builder.add(last, last + 1)
  return builder.finish()
}

interface BlocksParts {
  readonly disk: Disk
  readonly runs: UnitRuns
  readonly checksum: Checksum
  readonly changedAt: number
}

/** A checksum, its header, and zeros up to whole 512 bytes. */
const tailLength = 2 * HEADER_LENGTH
const storedSize = HEADER_LENGTH + BLOCK_SIZE + tailLength

const blocksRegion = ({ disk, runs, checksum, changedAt }: BlocksParts): Region => {
  const lengthOf = (block: number): number => Math.min(BLOCK_SIZE, disk.size - block * BLOCK_SIZE)
  const missing = unitsFor(disk.size, BLOCK_SIZE) * BLOCK_SIZE - disk.size
  const nameOf = (block: number): string => `vdi/${String(block).padStart(8, '0')}`
  const digests = createDigests(checksum, async (block, target, signal) => {
    await disk.read(block * BLOCK_SIZE, target, signal)
  })

  const tailOf = async (block: number, from: number, signal?: AbortSignal): Promise<Uint8Array> => {
    const tail = new Uint8Array(tailLength)
    const name = nameOf(block) + checksum.ending
    tail.set(encodeHeader({ name, size: checksum.length }, changedAt))
    if (from <= HEADER_LENGTH) return tail
    const digest = await digests.of(block, lengthOf(block), signal)
    tail.set(Buffer.from(digest), HEADER_LENGTH)
    return tail
  }

  /** Fills `target` from `inside` a block's part of the archive on, as far as its piece goes. */
  const fillPiece = async (
    block: number,
    inside: number,
    target: Uint8Array,
    signal?: AbortSignal,
  ): Promise<number> => {
    const size = lengthOf(block)
    if (inside < HEADER_LENGTH) {
      const piece = encodeHeader({ name: nameOf(block), size }, changedAt).subarray(inside)
      target.set(piece.subarray(0, target.length))
      return Math.min(piece.length, target.length)
    }
    const at = inside - HEADER_LENGTH
    if (at < size) {
      const part = target.subarray(0, size - at)
      await disk.read(block * BLOCK_SIZE + at, part, signal)
      await digests.saw(block, at, part)
      return part.length
    }
    const from = at - size
    const length = Math.min(tailLength - from, target.length)
    const tail = await tailOf(block, from + length, signal)
    target.set(tail.subarray(from, from + length))
    return length
  }

  return {
    length: runs.count * storedSize - missing,
    async fill(offset, target, signal) {
      for (let done = 0; done < target.length;) {
        const at = offset + done
        const rank = Math.min(Math.floor(at / storedSize), runs.count - 1)
        const { unit } = runs.runAt(rank)
        done += await fillPiece(unit, at - rank * storedSize, target.subarray(done), signal)
      }
    },
  }
}
