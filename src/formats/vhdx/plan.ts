// Disk → Image for VHDX, dynamic, as Hyper-V makes it:
//
//   0            identifier, two headers, two region tables
//   1 MiB        log, empty
//   2 MiB        metadata
//   3 MiB        block table: 8 bytes a block of 32 MiB, after each 128 of them a bitmap's
//   n MiB        blocks that hold data, ascending, 32 MiB each: what lies after the disk's end is
//                zeros
//
// Table and blocks are worked out from the runs of present blocks when they are read.

import type { Disk } from '../../disk/disk.ts'
import type { UnitRuns } from '../../disk/unit-runs.ts'
import { collectUnitRuns } from '../../disk/unit-runs.ts'
import { AppError } from '../../errors.ts'
import { viewOf } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import type { Region as ImageRegion } from '../../image/layout-image.ts'
import { bytesRegion, createLayoutImage } from '../../image/layout-image.ts'
import { vdiTooLarge } from '../../object-errors.ts'
import { alignUp, MAXIMUM_DISK_SIZE, MiB } from '../../units.ts'
import { blocksRegion } from '../blocks-region.ts'
import type { ImageIdentity } from '../format.ts'
import { derivedGuid } from '../guid.ts'
import { blocksPerBitmap, entriesOf } from './block-table.ts'
import {
  blockStates,
  FILE_SIGNATURE,
  HEADER_OFFSETS,
  PREFIX_LENGTH,
  REGION_TABLE_OFFSETS,
  WRITTEN_BLOCK_SIZE,
} from './constants.ts'
import { encodeHeader } from './headers.ts'
import { encodeMetadata } from './metadata.ts'
import type { Regions } from './regions.ts'
import { encodeRegions } from './regions.ts'

const logLength = MiB
const metadataOffset = PREFIX_LENGTH + logLength
const tableOffset = metadataOffset + MiB

/** See ImageFormat.plan. */
export const planVhdx = async (disk: Disk, identity: ImageIdentity): Promise<Image> => {
  const { uuid, base } = identity
  if (base !== undefined) {
    const reason = 'there is no vhdx delta, ask for vhd or qcow2'
    throw new AppError('VALUE_NOT_SUPPORTED', ['base', base.uuid, reason])
  }
  if (disk.size > MAXIMUM_DISK_SIZE) throw vdiTooLarge(uuid, MAXIMUM_DISK_SIZE)
  const runs = await collectUnitRuns(disk, WRITTEN_BLOCK_SIZE, ['data'])
  const sizes = { virtualSize: disk.size, blockSize: WRITTEN_BLOCK_SIZE }
  const entryCount = entriesOf({ ...sizes, logicalSectorSize: 512 })
  const regions: Regions = {
    blockTable: {
      name: 'block table',
      offset: tableOffset,
      length: alignUp(entryCount * 8, MiB),
    },
    metadata: { name: 'metadata', offset: metadataOffset, length: MiB },
  }
  return createLayoutImage(
    [
      bytesRegion(encodePrefix(identity, regions)),
      zerosRegion(logLength),
      paddedRegion(encodeMetadata({ ...sizes, virtualDiskId: uuid }), MiB),
      tableRegion(runs, regions.blockTable),
      blocksRegion(disk, runs, WRITTEN_BLOCK_SIZE),
    ],
    () => disk.close(),
  )
}

/** After the signature, in UTF-16. */
const creator = 'diskport'

const encodePrefix = ({ uuid, timestamp }: ImageIdentity, regions: Regions): Uint8Array => {
  const bytes = new Uint8Array(PREFIX_LENGTH)
  const text = Buffer.from(bytes.buffer)
  text.write(FILE_SIGNATURE, 'latin1')
  text.write(creator, FILE_SIGNATURE.length, 'utf16le')
  const content = timestamp.toISOString()
  for (const [index, offset] of HEADER_OFFSETS.entries()) {
    const header = encodeHeader({
      sequenceNumber: index + 1,
      fileWriteGuid: derivedGuid('file', uuid, content),
      dataWriteGuid: derivedGuid('data', uuid, content),
    })
    bytes.set(header, offset)
  }
  const table = encodeRegions(regions)
  for (const offset of REGION_TABLE_OFFSETS) bytes.set(table, offset)
  return bytes
}

const zerosRegion = (length: number): ImageRegion => ({
  length,
  fill: (_offset, target) => void target.fill(0),
})

/** `bytes`, then zeros. */
const paddedRegion = (bytes: Uint8Array, length: number): ImageRegion => ({
  length,
  fill(offset, target) {
    const part = bytes.subarray(offset, offset + target.length)
    target.set(part)
    target.fill(0, part.length)
  },
})

/** Bitmaps have entries and are not there; so are the blocks that hold nothing. */
const tableRegion = (
  runs: UnitRuns,
  { offset: start, length }: Regions['blockTable'],
): ImageRegion => {
  const ratio = blocksPerBitmap({
    virtualSize: 0,
    blockSize: WRITTEN_BLOCK_SIZE,
    logicalSectorSize: 512,
  })
  const indexOf = (block: number): number => block + Math.floor(block / ratio)
  const blockAfter = (index: number): number => index - Math.floor(index / (ratio + 1))
  const firstPlace = (start + length) / MiB
  return {
    length,
    fill(offset, target) {
      const from = Math.floor(offset / 8)
      const to = Math.ceil((offset + target.length) / 8)
      const entries = new Uint8Array((to - from) * 8)
      const view = viewOf(entries)
      for (const run of runs.between(blockAfter(from), blockAfter(to))) {
        for (let index = 0; index < run.length; index += 1) {
          const at = (indexOf(run.unit + index) - from) * 8
          const place = firstPlace + ((run.rank + index) * WRITTEN_BLOCK_SIZE) / MiB
          // The low 20 bits are the state and zeros, the others the place in MiB.
          view.setBigUint64(at, BigInt(place * MiB + blockStates.fullyPresent), true)
        }
      }
      target.set(entries.subarray(offset - from * 8).subarray(0, target.length))
    },
  }
}
