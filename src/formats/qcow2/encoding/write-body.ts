// All of a compressed image after its first tables, from beginning to end: what encode.ts writes
// twice, first to learn where the L2 tables come to lie.
//
//   clusters of an L2 table │ that table │ refcount blocks that are full │ … │ last refcount blocks

import type { Disk } from '../../../disk/disk.ts'
import type { UnitRuns } from '../../../disk/unit-runs.ts'
import { viewOf } from '../../../image/binary.ts'
import { alignUp } from '../../../units.ts'
import type { ChosenClusters } from '../choose-clusters.ts'
import { writeSpan } from '../compressed.ts'
import type { CompressionType } from '../constants.ts'
import { TABLE_ENTRY_SIZE, WRITTEN } from '../constants.ts'
import { markZero, writeEntries } from '../tables.ts'
import { compressCluster, compressClusters } from './compress-clusters.ts'
import type { EncodedCluster } from './compress-clusters.ts'
import { createRefcountWindows } from './refcount-windows.ts'

const { clusterSize, tableEntries } = WRITTEN

export interface Body {
  readonly disk: Disk
  readonly clusters: ChosenClusters
  /** The L2 tables that hold them. */
  readonly tables: UnitRuns
  /** What becomes of a cluster whose content is all zeros. */
  readonly zeros: 'absent' | 'flagged' | 'content'
  readonly compression: CompressionType
  /** Where it begins in the image. */
  readonly start: number
  readonly signal: AbortSignal | undefined
}

/** Told where the tables come to lie. What they throw, the writing throws. */
interface BodyPlaces {
  /** Of each L2 table, before it is written; those that turn out to be empty are not told of. */
  readonly onTable: (table: number, offset: number) => void
  /** Of the refcount blocks, in order, before the last of them are written. */
  readonly onBlocks: (offsets: readonly number[]) => void
}

const padding = new Uint8Array(clusterSize)

export async function* writeBody(
  body: Body,
  { onTable, onBlocks }: BodyPlaces,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { disk, clusters, tables, compression, signal } = body
  const refcounts = createRefcountWindows()
  refcounts.use(0, body.start)
  const encoded = compressClusters(disk, clusters.data, { compression, signal })
  const zero = await encodeZeros(body)
  let end = body.start
  let next = await encoded.next()
  const takeBlocks = (isLast: boolean): readonly Uint8Array[] => {
    const blocks = refcounts.take(end, isLast)
    end += blocks.length * clusterSize
    return blocks
  }
  try {
    for (const table of numbersOf(tables)) {
      const entries = createEntries(table, clusters)
      while (next.done !== true && next.value.cluster < (table + 1) * tableEntries) {
        const { cluster } = next.value
        const { kind, bytes } = next.value.kind === 'zero' ? zero : next.value
        const at = (cluster % tableEntries) * TABLE_ENTRY_SIZE
        if (kind === 'zero') {
          if (body.zeros === 'flagged') entries.mark(at)
        } else {
          if (kind === 'plain' && end % clusterSize > 0) {
            const gap = alignUp(end, clusterSize) - end
            yield padding.subarray(0, gap)
            end += gap
          }
          entries.write(at, kind, end, bytes.length)
          refcounts.use(end, bytes.length)
          yield bytes
          end += bytes.length
        }
        next = await encoded.next()
      }
      if (!entries.isUsed) continue
      const gap = alignUp(end, clusterSize) - end
      if (gap > 0) yield padding.subarray(0, gap)
      end += gap
      onTable(table, end)
      refcounts.use(end, clusterSize)
      yield entries.bytes
      end += clusterSize
      yield* takeBlocks(false)
    }
    const last = takeBlocks(true)
    onBlocks(refcounts.offsets)
    yield* last
  } finally {
    await encoded.return()
  }
}

function* numbersOf(tables: UnitRuns): Generator<number, void, undefined> {
  for (const { unit, length } of tables.between(0, Number.MAX_SAFE_INTEGER)) {
    for (let table = unit; table < unit + length; table += 1) yield table
  }
}

/** What is written for a cluster of zeros: in a delta that any reader takes they are content. */
const encodeZeros = async ({
  zeros,
  compression,
}: Body): Promise<Pick<EncodedCluster, 'kind' | 'bytes'>> =>
  zeros === 'content'
    ? { kind: 'compressed', bytes: await compressCluster(padding, compression) }
    : { kind: 'zero', bytes: padding.subarray(0, 0) }

/** The entries of an L2 table, in which those of zero clusters stand already. */
const createEntries = (table: number, { zero }: ChosenClusters) => {
  const bytes = new Uint8Array(clusterSize)
  const view = viewOf(bytes)
  const entries = {
    bytes,
    isUsed: false,
    mark(at: number): void {
      markZero(view, at)
      entries.isUsed = true
    },
    write(at: number, kind: 'compressed' | 'plain', offset: number, length: number): void {
      if (kind === 'plain') writeEntries(view, at, offset, 1, clusterSize)
      else writeSpan(view, at, { offset, length }, clusterSize)
      entries.isUsed = true
    },
  }
  const first = table * tableEntries
  for (const { unit, length } of zero.between(first, first + tableEntries)) {
    for (let index = 0; index < length; index += 1) {
      entries.mark((unit - first + index) * TABLE_ENTRY_SIZE)
    }
  }
  return entries
}
