// How much of the guest's disk a run of clusters is, and where it ends in the image.

import { hex } from '../../../image/binary.ts'
import { alignUp } from '../../../units.ts'
import type { Header } from '../header/header.ts'
import type { Part } from '../subclusters.ts'
import { partsOf } from '../subclusters.ts'
import type { ClusterRun, Subclusters } from '../cluster-run.ts'

type Sizes = Pick<Header, 'clusterSize' | 'virtualSize' | 'imageSize'>

/** Bytes of the run on the guest's disk. */
export const lengthOf = (
  { cluster, count }: Pick<ClusterRun, 'cluster' | 'count'>,
  { clusterSize, virtualSize }: Sizes,
): number => Math.min(count * clusterSize, virtualSize - cluster * clusterSize)

/** Where the last byte of the run ends in the image; of a compressed one, the last cluster. */
export const endOf = (run: ClusterRun, sizes: Sizes): number => {
  const { imageOffset, compressedLength } = run
  const end =
    compressedLength > 0
      ? alignUp(imageOffset + compressedLength, sizes.clusterSize)
      : imageOffset + lengthOf(run, sizes)
  return Math.min(end, sizes.imageSize)
}

/** Of runs with data that end after `offset`: how many there are, and where the last one ends. */
export const surveyRuns = (
  table: Iterable<ClusterRun>,
  sizes: Sizes,
  offset: number,
): { readonly runs: number; readonly end: number } => {
  let runs = 0
  let end = 0
  for (const run of table) {
    const runEnd = endOf(run, sizes)
    if (run.kind !== 'data' || runEnd <= offset) continue
    runs += 1
    end = Math.max(end, runEnd)
  }
  return { runs, end }
}

interface GuestPart extends Part {
  /** Where it begins within its cluster. */
  readonly inside: number
}

/** The parts of a cluster on the guest's disk, as far as that goes. */
export function* guestPartsOf(
  cluster: number,
  subclusters: Subclusters,
  { clusterSize, virtualSize }: Sizes,
): Generator<GuestPart, void, undefined> {
  for (const { kind, offset: inside, length } of partsOf(subclusters, clusterSize)) {
    const offset = cluster * clusterSize + inside
    const present = Math.min(length, virtualSize - offset)
    if (present > 0) yield { kind, offset, length: present, inside }
  }
}

export const guestName = (offset: number): string => `the cluster of guest offset ${hex(offset)}`
