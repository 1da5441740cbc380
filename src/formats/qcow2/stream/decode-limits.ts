// How much a decoder may hold in memory. One object, so that a test can make it small.

import { KiB, MiB } from '../../../units.ts'

export interface DecodeLimits {
  /** Runs of clusters that L2 tables named and that are still to come, 16 bytes each. */
  readonly awaitedRuns: number
  /** Runs of clusters that need no check, 16 bytes each. */
  readonly ignoredRuns: number
  /** Runs of parked clusters, 16 bytes each. */
  readonly parkedRuns: number
  /** Bytes of parked clusters that stay in memory. The others go to the spool. */
  readonly parkedBytes: number
  /** Bytes that are gathered before they go to the spool together. */
  readonly gatheredBytes: number
}

/** 32 MiB of awaited runs are 512 GiB of guest where a run is four clusters of 64 KiB. */
export const defaultLimits: DecodeLimits = {
  awaitedRuns: 2048 * KiB,
  ignoredRuns: 512 * KiB,
  parkedRuns: 512 * KiB,
  parkedBytes: 8 * MiB,
  gatheredBytes: MiB,
}
