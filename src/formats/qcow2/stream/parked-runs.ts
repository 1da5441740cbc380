// Runs of clusters that came before their table: read from where they were parked, each once.

import type { DiskWrite } from '../../../disk/disk.ts'
import type { AppError } from '../../../errors.ts'
import { imageError } from '../../../errors.ts'
import { hex } from '../../../image/binary.ts'
import type { ClusterRun, Subclusters } from '../cluster-run.ts'
import type { Header } from '../header/header.ts'
import type { ParkedClusters } from './parked-clusters.ts'
import { guestName, guestPartsOf, lengthOf } from './run-bounds.ts'
import type { WriteBatch } from '../../write-batch.ts'

interface Parts {
  readonly header: Header
  /** What is being done, for messages. */
  readonly what: string
  readonly parked: ParkedClusters
  readonly batch: WriteBatch
  readonly signal: AbortSignal | undefined
}

export class ParkedRuns {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** @throws AppError for a cluster that is not there, or was taken */
  async *read(run: ClusterRun): AsyncGenerator<DiskWrite, void, undefined> {
    const { header, parked, batch, signal } = this.#parts
    const { clusterSize } = header
    const guestOffset = run.cluster * clusterSize
    const length = lengthOf(run, header)
    for (let done = 0; done < length;) {
      const imageOffset = run.imageOffset + done
      const count = Math.ceil((length - done) / clusterSize)
      const taken = this.take(imageOffset, count, guestName(guestOffset + done))
      const part = Math.min(length - done, taken * clusterSize)
      yield* batch.add(guestOffset + done, part, (target, offset) =>
        parked.read(imageOffset + offset, target, signal),
      )
      done += part
    }
  }

  /** The same of a cluster that is data only in part. */
  async *readMixed(
    imageOffset: number,
    cluster: number,
    subclusters: Subclusters,
  ): AsyncGenerator<DiskWrite, void, undefined> {
    const { header, parked, batch, signal } = this.#parts
    this.take(imageOffset, 1, guestName(cluster * header.clusterSize))
    for (const part of guestPartsOf(cluster, subclusters, header)) {
      if (part.kind !== 'data') continue
      yield* batch.add(part.offset, part.length, (target, offset) =>
        parked.read(imageOffset + part.inside + offset, target, signal),
      )
    }
  }

  /** Marks up to `count` parked clusters as used, as many as lie together; how many. */
  take(imageOffset: number, count: number, name: string): number {
    const { header, what, parked } = this.#parts
    const together = Math.min(count, parked.lengthAt(imageOffset) / header.clusterSize)
    if (together === 0) throw usedTwice(what, name, imageOffset)
    const used = parked.take(imageOffset, together)
    if (used === undefined) return together
    throw usedTwice(what, `one of ${count} clusters from ${name} on`, used)
  }
}

/**
 * What has come and was not parked, or was taken, is another structure's or another guest
 * cluster's.
 */
export const usedTwice = (what: string, name: string, imageOffset: number): AppError =>
  imageError(what, `${name} lies at ${hex(imageOffset)}, which something else uses too`)
