// Goes through the clusters of a QCOW2 stream once, in the order of the file, whatever that order
// is. L2 tables and the clusters they name wait in queues, nearest first; stream-gaps.ts has what
// comes between. L1 may come last, and L2 tables after their data: what they name is then parked
// already.
//
// Memory, whatever the size of the disk: 16 bytes for each L2 table (½ MiB for 16 TiB at 64 KiB
// clusters, 64 MiB at the limit of the L1 table), what decode-limits.ts allows (57 MiB), a bit for
// each parked cluster, one L2 table and one buffer. When the awaited runs are full, L2 tables are
// parked with their data, and read after the stream.

import type { DiskWrite } from '../../../disk/disk.ts'
import { hex, viewOf } from '../../../image/binary.ts'
import type { ForwardReader } from '../../../image/forward-reader.ts'
import { alignDown, alignUp } from '../../../units.ts'
import type { DecodeContext } from '../../format.ts'
import { ClusterQueue } from './cluster-queue.ts'
import { CompressedClusters } from './compressed-clusters.ts'
import type { DecodeLimits } from './decode-limits.ts'
import { defaultLimits } from './decode-limits.ts'
import type { Header } from '../header/header.ts'
import { visitL2Tables } from '../l1.ts'
import { ParkedClusters } from './parked-clusters.ts'
import { ParkedRuns, usedTwice } from './parked-runs.ts'
import { endOf, guestName, guestPartsOf, lengthOf, surveyRuns } from './run-bounds.ts'
import { readToEnd } from './short-end.ts'
import { StreamGaps } from './stream-gaps.ts'
import type { ClusterRun, Subclusters } from '../cluster-run.ts'
import type { TableRules } from '../tables.ts'
import { clustersOfTable, readClusterRuns } from '../tables.ts'
import { WriteBatch } from '../../write-batch.ts'

export class ClusterDecoder {
  readonly #stream: ForwardReader
  readonly #header: Header
  readonly #rules: TableRules
  readonly #context: DecodeContext
  readonly #batch: WriteBatch
  readonly #parked: ParkedClusters
  readonly #parkedRuns: ParkedRuns
  readonly #gaps: StreamGaps
  readonly #limits: DecodeLimits
  #isL1Known = false
  /** L2 tables that were not yet read, by number. */
  readonly #tables = new ClusterQueue()
  /** Clusters of data still to come, by guest cluster. */
  readonly #awaited = new ClusterQueue()
  /** Clusters still to come that are data only in part, by guest cluster; counts are their bits. */
  readonly #mixed = new ClusterQueue()
  /** Compressed clusters, those still to come and those under way. */
  readonly #compressed: CompressedClusters
  /** L2 tables that are parked until the stream has ended, by number. */
  readonly #deferred = new ClusterQueue()
  /** Where the last byte ends that a deferred table names. */
  #deferredEnd = 0
  /** The L2 table that was read last. */
  readonly #table: Uint8Array

  constructor(
    stream: ForwardReader,
    header: Header,
    context: DecodeContext,
    what: string,
    limits = defaultLimits,
  ) {
    this.#stream = stream
    this.#header = header
    this.#rules = { ...header, what }
    this.#context = context
    this.#batch = new WriteBatch(context.buffers, context.signal)
    this.#parked = new ParkedClusters(header.clusterSize, limits, context.openSpool)
    this.#gaps = new StreamGaps(stream, header, this.#parked, limits, context.signal)
    this.#limits = limits
    const [batch, parked, { signal }] = [this.#batch, this.#parked, context]
    const parts = { stream, header, what, parked, batch, signal }
    this.#parkedRuns = new ParkedRuns(parts)
    this.#compressed = new CompressedClusters(parts)
    this.#table = new Uint8Array(header.clusterSize)
  }

  /** See DecodedImage.writes. */
  async *writes(): AsyncGenerator<DiskWrite, void, undefined> {
    try {
      await this.#readL1()
      yield* this.#readClusters()
      yield* this.#readDeferred()
      yield* this.#compressed.writes(0)
      yield* this.#batch.finish()
      await this.#skipPadding()
    } finally {
      this.#batch.close()
      await this.#parked.close()
    }
  }

  async #readL1(): Promise<void> {
    const { l1Offset } = this.#header
    const name = `the L1 table at ${hex(l1Offset)}`
    await this.#passTo(l1Offset, () => name)
    const fill = (_offset: number, target: Uint8Array): Promise<void> =>
      this.#stream.read(target, this.#named(name))
    await visitL2Tables(this.#header, this.#rules.what, fill, (table, offset) =>
      this.#tables.push(offset, table, 1),
    )
    this.#isL1Known = true
    await this.#unparkIfKnown()
  }

  /**
   * L2 tables and awaited clusters as they come, and up to the end of what deferred tables name.
   */
  async *#readClusters(): AsyncGenerator<DiskWrite, void, undefined> {
    for (;;) {
      const table = this.#tables.firstOffset ?? Infinity
      const data = this.#awaited.firstOffset ?? Infinity
      const mixed = this.#mixed.firstOffset ?? Infinity
      const compressed = this.#compressed.nextCluster ?? Infinity
      const next = Math.min(table, data, mixed, compressed)
      if (next === Infinity) break
      if (next === table) yield* this.#readTable(table)
      else if (next === compressed) yield* this.#readCompressed(compressed)
      else if (next === mixed) yield* this.#readMixed(mixed)
      else yield* this.#readData(data)
    }
    if (this.#deferredEnd > this.#stream.offset) {
      await this.#passTo(this.#deferredEnd, () => 'the clusters of L2 tables that were put off')
    }
  }

  async *#readDeferred(): AsyncGenerator<DiskWrite, void, undefined> {
    for (let at = this.#deferred.firstOffset; at !== undefined; at = this.#deferred.firstOffset) {
      const table = this.#deferred.firstLabel
      this.#deferred.shift()
      await this.#parked.read(at, this.#table, this.#context.signal)
      yield* this.#apply(table)
    }
  }

  /** Reads the nearest L2 table, and uses it at once where there is room for what it names. */
  async *#readTable(offset: number): AsyncGenerator<DiskWrite, void, undefined> {
    const table = this.#tables.firstLabel
    const name = `L2 table ${table}`
    const isBehind = offset < this.#stream.offset
    if (isBehind) {
      this.#parkedRuns.take(offset, 1, name)
      await this.#parked.read(offset, this.#table, this.#context.signal)
    } else {
      await this.#passTo(offset, () => name)
      await this.#stream.read(this.#table, this.#named(`${name} at ${hex(offset)}`))
    }
    this.#tables.shift()
    const { runs, end } = surveyRuns(this.#runsOf(table), this.#header, this.#stream.offset)
    const waiting = this.#awaited.size + this.#mixed.size + this.#compressed.size
    const hasRoom = waiting + runs <= this.#limits.awaitedRuns
    if (!isBehind && (!hasRoom || this.#parked.isFragmented)) {
      await this.#parked.park(offset, this.#table, this.#context.signal)
      this.#parkedRuns.take(offset, 1, name)
    }
    if (hasRoom) {
      yield* this.#apply(table)
      await this.#unparkIfKnown()
      return
    }
    this.#deferred.push(offset, table, 1)
    this.#deferredEnd = Math.max(this.#deferredEnd, end)
  }

  #runsOf(table: number): Generator<ClusterRun, void, undefined> {
    const { from, to } = clustersOfTable(table, this.#header)
    return readClusterRuns(viewOf(this.#table), table, from, to, this.#rules)
  }

  /** Yields zeros and what is parked, and waits for the rest. */
  async *#apply(table: number): AsyncGenerator<DiskWrite, void, undefined> {
    const { clusterSize } = this.#header
    for (const run of this.#runsOf(table)) {
      if (run.subclusters !== undefined) {
        yield* this.#applyMixed(run, run.subclusters)
      } else if (run.kind === 'zero') {
        if (this.#isParking) this.#gaps.ignore(run.imageOffset, run.count)
        const offset = run.cluster * clusterSize
        yield { kind: 'zero', offset, length: lengthOf(run, this.#header) }
      } else if (run.compressedLength > 0) {
        yield* this.#applyCompressed(run)
      } else if (run.kind === 'data') {
        // No run lies on both sides of here: what was read last has its own clusters between them.
        if (run.imageOffset < this.#stream.offset) yield* this.#parkedRuns.read(run)
        else this.#awaited.push(run.imageOffset, run.cluster, run.count)
      }
    }
  }

  async *#applyMixed(
    run: ClusterRun,
    subclusters: Subclusters,
  ): AsyncGenerator<DiskWrite, void, undefined> {
    const { imageOffset, cluster } = run
    for (const { kind, offset, length } of guestPartsOf(cluster, subclusters, this.#header)) {
      if (kind === 'zero') yield { kind, offset, length }
    }
    const { data } = subclusters
    if (data === 0) this.#gaps.ignore(imageOffset, 1)
    else if (imageOffset >= this.#stream.offset) this.#mixed.push(imageOffset, cluster, data)
    else yield* this.#parkedRuns.readMixed(imageOffset, cluster, subclusters)
  }

  /** The nearest cluster that is data only in part. */
  async *#readMixed(imageOffset: number): AsyncGenerator<DiskWrite, void, undefined> {
    const { what } = this.#rules
    const cluster = this.#mixed.firstLabel
    const subclusters = { data: this.#mixed.firstCount, zero: 0 }
    this.#mixed.shift()
    const name = guestName(cluster * this.#header.clusterSize)
    if (imageOffset < this.#stream.offset) throw usedTwice(what, name, imageOffset)
    await this.#passTo(imageOffset, () => `${name} at ${hex(imageOffset)}`)
    for (const part of guestPartsOf(cluster, subclusters, this.#header)) {
      if (part.kind !== 'data') continue
      const partOffset = imageOffset + part.inside
      await this.#gaps.skipUpTo(partOffset, this.#named(name))
      yield* this.#batch.add(part.offset, part.length, (target, offset) =>
        this.#readStream(target, part.offset + offset, partOffset + offset),
      )
    }
  }

  /** The nearest awaited run. */
  async *#readData(imageOffset: number): AsyncGenerator<DiskWrite, void, undefined> {
    const cluster = this.#awaited.firstLabel
    const count = this.#awaited.firstCount
    const run: ClusterRun = { kind: 'data', cluster, count, imageOffset, compressedLength: 0 }
    this.#awaited.shift()
    const guestOffset = cluster * this.#header.clusterSize
    if (imageOffset < this.#stream.offset)
      throw usedTwice(this.#rules.what, guestName(guestOffset), imageOffset)
    await this.#passTo(imageOffset, () => `${guestName(guestOffset)} at ${hex(imageOffset)}`)
    if (this.#isParking && this.#parked.isFragmented) {
      await this.#gaps.parkAllUpTo(endOf(run, this.#header), this.#named(guestName(guestOffset)))
      yield* this.#parkedRuns.read(run)
      return
    }
    yield* this.#batch.add(guestOffset, lengthOf(run, this.#header), (target, offset) =>
      this.#readStream(target, guestOffset + offset, imageOffset + offset),
    )
  }

  /** One that is still to come waits; the others are parked, in whole clusters. */
  async *#applyCompressed(run: ClusterRun): AsyncGenerator<DiskWrite, void, undefined> {
    if (alignDown(run.imageOffset, this.#header.clusterSize) >= this.#stream.offset) {
      this.#compressed.push(run)
      return
    }
    const name = guestName(run.cluster * this.#header.clusterSize)
    if (!(await this.#compressed.takeParked(run)))
      throw usedTwice(this.#rules.what, name, run.imageOffset)
    yield* this.#compressed.writes()
  }

  /** The cluster of the image at `imageOffset`, in which compressed ones lie. */
  async *#readCompressed(imageOffset: number): AsyncGenerator<DiskWrite, void, undefined> {
    const name = `compressed clusters at ${hex(imageOffset)}`
    if (imageOffset < this.#stream.offset) throw usedTwice(this.#rules.what, name, imageOffset)
    await this.#passTo(imageOffset, () => name)
    await this.#compressed.readCluster(this.#isParking)
    yield* this.#compressed.writes()
  }

  #readStream(target: Uint8Array, guestOffset: number, imageOffset: number): Promise<void> {
    const name = `${guestName(guestOffset)} lies at ${hex(imageOffset)}`
    return readToEnd(this.#stream, target, { ...this.#rules, imageOffset, name })
  }

  /** When no L2 table is left to name it, nothing parked is needed any more. */
  async #unparkIfKnown(): Promise<void> {
    if (!this.#isParking) await this.#parked.close()
  }

  get #isParking(): boolean {
    return !this.#isL1Known || this.#tables.size > 0 || this.#deferred.size > 0
  }

  async #passTo(offset: number, name: () => string): Promise<void> {
    if (offset === this.#stream.offset) return
    const what = this.#named(name())
    if (!this.#isParking) await this.#gaps.skipUpTo(offset, what)
    else if (this.#parked.isFragmented) await this.#gaps.parkAllUpTo(offset, what)
    else await this.#gaps.parkUpTo(offset, what)
  }

  /** A stream of known length that is cut in its last cluster is cut, needed or not. */
  async #skipPadding(): Promise<void> {
    const { streamLength } = this.#context
    if (streamLength === undefined) return
    const end = Math.min(streamLength, alignUp(this.#stream.offset, this.#header.clusterSize))
    await this.#gaps.skipUpTo(end, this.#named('the last cluster'))
  }

  #named(name: string): string {
    return `${this.#rules.what}: ${name}`
  }
}
