// Disk → Image for VMDK, monolithicSparse, as VMware lays it out:
//
//   0            header
//   512          descriptor, 20 sectors
//   21 sectors   redundant grain directory, its tables: 4 bytes a grain of 64 KiB
//   …            grain directory, its tables: the same
//   n × 64 KiB   grains that hold data, ascending, 64 KiB each: what lies after the disk's end is
//                zeros
//
// Tables and grains are worked out from the runs of present grains when they are read. The
// streamOptimized kind, whose length is known only at its end, is that of encode.ts.

import type { Disk } from '../../disk/disk.ts'
import type { UnitRuns } from '../../disk/unit-runs.ts'
import { collectUnitRuns } from '../../disk/unit-runs.ts'
import { AppError } from '../../errors.ts'
import { viewOf } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import type { Region } from '../../image/layout-image.ts'
import { bytesRegion, createLayoutImage } from '../../image/layout-image.ts'
import { vdiTooLarge } from '../../object-errors.ts'
import { alignUp, SECTOR_SIZE, unitsFor } from '../../units.ts'
import { blocksRegion } from '../blocks-region.ts'
import type { ImageIdentity, PlanOptions } from '../format.ts'
import {
  flags,
  MAXIMUM_VMDK_SIZE,
  TABLE_ENTRIES,
  WRITTEN_DESCRIPTOR_SECTORS,
  WRITTEN_GRAIN_SIZE,
} from './constants.ts'
import { encodeDescriptor } from './descriptor.ts'
import { encodeHeader } from './header.ts'

const grainSectors = WRITTEN_GRAIN_SIZE / SECTOR_SIZE
const tableSectors = (TABLE_ENTRIES * 4) / SECTOR_SIZE

/** See ImageFormat.plan. */
export const planVmdk = async (
  disk: Disk,
  identity: ImageIdentity,
  { subformat = 'monolithicSparse' }: PlanOptions = {},
): Promise<Image> => {
  refuseDelta(identity)
  if (subformat !== 'monolithicSparse') {
    const reason = 'its length is known only at its end, it is encoded and not planned'
    throw new AppError('VALUE_NOT_SUPPORTED', ['subformat', subformat, reason])
  }
  if (disk.size > MAXIMUM_VMDK_SIZE) throw vdiTooLarge(identity.uuid, MAXIMUM_VMDK_SIZE)
  const runs = await collectUnitRuns(disk, WRITTEN_GRAIN_SIZE, ['data'])
  const tables = unitsFor(disk.size, WRITTEN_GRAIN_SIZE * TABLE_ENTRIES)
  const directorySectors = unitsFor(tables * 4, SECTOR_SIZE)
  const redundant = 1 + WRITTEN_DESCRIPTOR_SECTORS
  const directory = redundant + directorySectors + tables * tableSectors
  const overhead = alignUp(directory + directorySectors + tables * tableSectors, grainSectors)
  const header = encodeHeader({
    version: 1,
    flags: flags.newlineTest | flags.redundantTables,
    virtualSize: disk.size,
    descriptorSectors: WRITTEN_DESCRIPTOR_SECTORS,
    redundantDirectory: redundant,
    directory: BigInt(directory),
    overhead,
    grainSectors,
  })
  const tablesOf = (start: number): Region[] => [
    directoryRegion(start, directorySectors, tables),
    tablesRegion(runs, tables, overhead),
  ]
  const end = directory + directorySectors + tables * tableSectors
  return createLayoutImage(
    [
      bytesRegion(header),
      bytesRegion(encodeDescriptor('monolithicSparse', disk.size, identity)),
      ...tablesOf(redundant),
      ...tablesOf(directory),
      bytesRegion(new Uint8Array((overhead - end) * SECTOR_SIZE)),
      blocksRegion(disk, runs, WRITTEN_GRAIN_SIZE),
    ],
    () => disk.close(),
  )
}

/** @throws AppError VALUE_NOT_SUPPORTED for a delta */
export const refuseDelta = ({ base }: ImageIdentity): void => {
  if (base === undefined) return
  const reason = 'there is no vmdk delta, ask for vhd or qcow2'
  throw new AppError('VALUE_NOT_SUPPORTED', ['base', base.uuid, reason])
}

/** The tables follow the directory, each of 512 entries. */
const directoryRegion = (start: number, sectors: number, tables: number): Region => {
  const bytes = new Uint8Array(sectors * SECTOR_SIZE)
  const view = viewOf(bytes)
  for (let table = 0; table < tables; table += 1) {
    view.setUint32(table * 4, start + sectors + table * tableSectors, true)
  }
  return bytesRegion(bytes)
}

const tablesRegion = (runs: UnitRuns, tables: number, overhead: number): Region => ({
  length: tables * tableSectors * SECTOR_SIZE,
  fill(offset, target) {
    const from = Math.floor(offset / 4)
    const to = Math.ceil((offset + target.length) / 4)
    const entries = new Uint8Array((to - from) * 4)
    const view = viewOf(entries)
    for (const run of runs.between(from, to)) {
      for (let index = 0; index < run.length; index += 1) {
        const place = overhead + (run.rank + index) * grainSectors
        view.setUint32((run.unit + index - from) * 4, place, true)
      }
    }
    target.set(entries.subarray(offset - from * 4).subarray(0, target.length))
  },
})
