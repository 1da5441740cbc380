// Which clusters an exported image holds, from the extents of the disk: the whole disk, or a delta
// in one of two forms. Memory grows with the runs of clusters, never with the disk.

import type { Disk } from '../../disk/disk.ts'
import type { UnitRuns } from '../../disk/unit-runs.ts'
import { collectUnitRuns, createRunBuilder, splitUnitRuns } from '../../disk/unit-runs.ts'
import { MiB, unitsFor } from '../../units.ts'
import type { ImageIdentity, PlanOptions } from '../format.ts'
import { WRITTEN } from './constants.ts'

const { clusterSize } = WRITTEN

/** What readers that go only forward take at once: XenServer's importer and Xen Orchestra. */
const groupSize = 2 * MiB

export interface ChosenClusters {
  /** Clusters with content. */
  readonly data: UnitRuns
  /** Clusters that carry the zero flag. */
  readonly zero: UnitRuns
  /** Both. */
  readonly all: UnitRuns
}

/** What an image of the disk holds, and how: `groups` and `single` are deltas. */
interface ImageChoice {
  readonly form: 'whole' | 'groups' | 'single'
  readonly clusters: ChosenClusters
  /** What the image says that it lies on. */
  readonly backing?: string
}

export const chooseClusters = async (
  disk: Disk,
  { base }: ImageIdentity,
  { delta }: PlanOptions,
): Promise<ImageChoice> => {
  if (base === undefined) return { form: 'whole', clusters: await chooseWhole(disk) }
  if (delta !== 'compact') return { form: 'groups', clusters: await chooseGroups(disk) }
  return { form: 'single', clusters: await chooseSingly(disk), backing: base.uuid }
}

/** The whole disk: what holds data. Zeros and holes are both absent, and read as zeros. */
const chooseWhole = async (disk: Disk): Promise<ChosenClusters> =>
  dataOnly(await collectUnitRuns(disk, clusterSize, ['data']))

/** A delta of whole groups: each that holds a change, every cluster of it with content. */
const chooseGroups = async (disk: Disk): Promise<ChosenClusters> => {
  const groups = await collectUnitRuns(disk, groupSize, ['data', 'zero'])
  const clusters = unitsFor(disk.size, clusterSize)
  return dataOnly(splitUnitRuns(groups, groupSize / clusterSize, clusters))
}

const dataOnly = (data: UnitRuns): ChosenClusters => ({
  data,
  zero: createRunBuilder().finish(),
  all: data,
})

/** A delta of single clusters; one that changed to zeros as a whole carries the flag. */
const chooseSingly = async (disk: Disk): Promise<ChosenClusters> => {
  const data = createRunBuilder()
  const zero = createRunBuilder()
  const all = createRunBuilder()
  for await (const { offset, length, kind } of disk.extents()) {
    if (kind === 'hole') continue
    const end = offset + length
    const from = Math.floor(offset / clusterSize)
    const to = Math.ceil(end / clusterSize)
    all.add(from, to)
    if (kind === 'data') {
      data.add(from, to)
      continue
    }
    // What is zero only in part needs content. The last cluster is whole where the disk ends.
    const wholeFrom = Math.ceil(offset / clusterSize)
    const wholeTo = end === disk.size ? to : Math.floor(end / clusterSize)
    if (wholeFrom >= wholeTo) {
      data.add(from, to)
      continue
    }
    if (from < wholeFrom) data.add(from, wholeFrom)
    zero.add(wholeFrom, wholeTo)
    if (wholeTo < to) data.add(wholeTo, to)
  }
  return { data: data.finish(), zero: zero.finish(), all: all.finish() }
}
