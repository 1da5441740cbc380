// Extended L2 entries: the 32 subclusters of a cluster, each data, zeros or a hole. QCOW2,
// "Extended L2 Entries".

import type { ExtentKind } from '../../disk/extents.ts'
import type { ClusterRun, Subclusters } from './cluster-run.ts'
import { SUBCLUSTERS } from './constants.ts'

const all = 0xff_ff_ff_ff

/**
 * @param at of the entry
 * @param imageOffset what the entry says; 0: nothing is allocated
 * @returns undefined for bits that contradict each other
 */
export const readSubclusters = (
  view: DataView,
  at: number,
  imageOffset: number,
): Subclusters | undefined => {
  const zero = view.getUint32(at + 8)
  const data = view.getUint32(at + 12)
  if ((zero & data) !== 0 || (data !== 0 && imageOffset === 0)) return undefined
  return { data, zero }
}

/** The cluster as a run; a plain one where all its subclusters are of one kind. */
export const runOf = (
  cluster: number,
  imageOffset: number,
  subclusters: Subclusters,
): ClusterRun => {
  const { data, zero } = subclusters
  const plain = { cluster, count: 1, imageOffset, compressedLength: 0 }
  if (data === all) return { ...plain, kind: 'data' }
  if (zero === all) return { ...plain, kind: 'zero' }
  if (data === 0 && zero === 0) return { ...plain, kind: 'hole' }
  return { ...plain, kind: data === 0 ? 'zero' : 'data', subclusters }
}

/** Subclusters of one kind that follow each other. */
export interface Part {
  readonly kind: ExtentKind
  /** In bytes, from the beginning of the cluster. */
  readonly offset: number
  readonly length: number
}

export function* partsOf(
  { data, zero }: Subclusters,
  clusterSize: number,
): Generator<Part, void, undefined> {
  const size = clusterSize / SUBCLUSTERS
  const kindAt = (index: number): ExtentKind => {
    if (((data >>> index) & 1) === 1) return 'data'
    return ((zero >>> index) & 1) === 1 ? 'zero' : 'hole'
  }
  for (let from = 0; from < SUBCLUSTERS;) {
    const kind = kindAt(from)
    let to = from + 1
    while (to < SUBCLUSTERS && kindAt(to) === kind) to += 1
    yield { kind, offset: from * size, length: (to - from) * size }
    from = to
  }
}
