// Disk → Image for VDI, dynamic, as VirtualBox lays it out:
//
//   0            text, signature, header
//   512          map: 4 bytes a block of 1 MiB, its index among those in the file
//   n MiB        blocks that hold data, ascending, 1 MiB each: what lies after the disk's end is
//                zeros
//
// Map and blocks are worked out from the runs of present blocks when they are read.

import type { Disk } from '../../disk/disk.ts'
import type { UnitRuns } from '../../disk/unit-runs.ts'
import { collectUnitRuns } from '../../disk/unit-runs.ts'
import { AppError } from '../../errors.ts'
import { viewOf } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import type { Region } from '../../image/layout-image.ts'
import { bytesRegion, createLayoutImage } from '../../image/layout-image.ts'
import { vdiTooLarge } from '../../object-errors.ts'
import { alignUp, MAXIMUM_DISK_SIZE, unitsFor } from '../../units.ts'
import { blocksRegion } from '../blocks-region.ts'
import type { ImageIdentity } from '../format.ts'
import { BLOCK_SIZE, HEADER_SIZE } from './constants.ts'
import { encodeHeader } from './header.ts'
import { derivedGuid } from '../guid.ts'

/** See ImageFormat.plan. */
export const planVdi = async (disk: Disk, identity: ImageIdentity): Promise<Image> => {
  const { uuid, timestamp, base } = identity
  if (base !== undefined) {
    const reason = 'there is no vdi delta, ask for vhd or qcow2'
    throw new AppError('VALUE_NOT_SUPPORTED', ['base', base.uuid, reason])
  }
  if (disk.size > MAXIMUM_DISK_SIZE) throw vdiTooLarge(uuid, MAXIMUM_DISK_SIZE)
  const runs = await collectUnitRuns(disk, BLOCK_SIZE, ['data'])
  const blockCount = unitsFor(disk.size, BLOCK_SIZE)
  const dataOffset = alignUp(HEADER_SIZE + blockCount * 4, BLOCK_SIZE)
  const header = encodeHeader({
    virtualSize: disk.size,
    mapOffset: HEADER_SIZE,
    dataOffset,
    blockCount,
    allocatedCount: runs.count,
    uuid,
    changeUuid: derivedGuid('change', uuid, timestamp.toISOString()),
  })
  return createLayoutImage(
    [
      bytesRegion(header),
      mapRegion(runs, blockCount, dataOffset - HEADER_SIZE),
      blocksRegion(disk, runs, BLOCK_SIZE),
    ],
    () => disk.close(),
  )
}

/** Entries of absent blocks are all ones; zeros fill the region up. */
const mapRegion = (runs: UnitRuns, blockCount: number, length: number): Region => ({
  length,
  fill(offset, target) {
    const from = Math.floor(offset / 4)
    const to = Math.ceil((offset + target.length) / 4)
    const entries = new Uint8Array((to - from) * 4)
    entries.fill(0xff, 0, Math.max(0, Math.min(to, blockCount) - from) * 4)
    const view = viewOf(entries)
    for (const run of runs.between(from, to)) {
      for (let index = 0; index < run.length; index += 1) {
        view.setUint32((run.unit + index - from) * 4, run.rank + index, true)
      }
    }
    target.set(entries.subarray(offset - from * 4).subarray(0, target.length))
  },
})
