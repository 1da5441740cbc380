// What an L2 table says of neighbouring clusters.

import type { ExtentKind } from '../../disk/extents.ts'

/**
 * Clusters that follow each other in the guest, are of one kind and, if allocated, follow each
 * other in the image.
 */
export interface ClusterRun {
  readonly kind: ExtentKind
  /** Guest cluster that is the first of the run. */
  readonly cluster: number
  /** Number of clusters. */
  readonly count: number
  /**
   * Where the first one lies in the image, 0 where none is allocated. A zero cluster may have one,
   * too.
   */
  readonly imageOffset: number
  /** Of a compressed cluster, which is a run of its own: its bytes in the image; else 0. */
  readonly compressedLength: number
  /**
   * Of a cluster whose subclusters are not all of one kind, a run of its own. Its kind is `data`
   * where some are, and `zero` where none is.
   */
  readonly subclusters?: Subclusters
}

/** A bit for each of the 32 subclusters, the first one the lowest; those with neither are holes. */
export interface Subclusters {
  readonly data: number
  readonly zero: number
}
