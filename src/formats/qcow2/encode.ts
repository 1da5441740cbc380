// Disk → compressed QCOW2, as image sites publish it. The L1 table comes before the L2 tables, and
// says where they lie, which depends on how far each cluster could be compressed. So all of it is
// compressed twice: first to learn that, then to send it. Nothing is kept but the L1 table.
//
//   header │ refcount table │ L1 │ body, see encoding/write-body.ts

import type { Disk } from '../../disk/disk.ts'
import { groupUnitRuns } from '../../disk/unit-runs.ts'
import { AppError } from '../../errors.ts'
import { viewOf, writeUint64 } from '../../image/binary.ts'
import { KiB, unitsFor } from '../../units.ts'
import type { ImageFormat, ImageIdentity } from '../format.ts'
import { chooseClusters } from './choose-clusters.ts'
import { COMPRESSION_TYPES, TABLE_ENTRY_SIZE, WRITTEN } from './constants.ts'
import type { Body } from './encoding/write-body.ts'
import { writeBody } from './encoding/write-body.ts'
import { buildHeaderCluster } from './header/build-header.ts'
import { layoutRefcounts } from './refcounts.ts'
import { writeEntries } from './tables.ts'

const { clusterSize, tableEntries } = WRITTEN

/** Bytes that go out at a time, at least. */
const chunkSize = 256 * KiB

type EncodeOptions = Parameters<NonNullable<ImageFormat['encode']>>[2]

/** See ImageFormat.encode. */
export async function* encodeQcow2(
  disk: Disk,
  identity: ImageIdentity,
  options: EncodeOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    const image = await layOut(disk, identity, options)
    const places = await findPlaces(image.body)
    yield image.header
    yield buildRefcountTable(image.refcountTableClusters, places.blocks)
    yield buildL1(image.l1Clusters, places.tables)
    yield* inChunks(writeAgain(image.body, places))
  } finally {
    await disk.close()
  }
}

interface LaidOut {
  readonly header: Uint8Array
  readonly refcountTableClusters: number
  readonly l1Clusters: number
  readonly body: Body
}

const layOut = async (
  disk: Disk,
  identity: ImageIdentity,
  options: NonNullable<EncodeOptions>,
): Promise<LaidOut> => {
  const compression = Object.values(COMPRESSION_TYPES).find((each) => each === options.compression)
  if (compression === undefined) {
    throw new AppError('VALUE_NOT_SUPPORTED', ['compression', String(options.compression)])
  }
  const { clusters, backing, form } = await chooseClusters(disk, identity, options)
  const tables = groupUnitRuns(clusters.all, tableEntries)
  const l1Entries = unitsFor(disk.size, clusterSize * tableEntries)
  const l1Clusters = unitsFor(l1Entries, tableEntries)
  // No cluster takes more room than it would without compression.
  const most = layoutRefcounts(1 + l1Clusters + tables.count + clusters.data.count)
  const l1Offset = clusterSize * (1 + most.tableClusters)
  const header = buildHeaderCluster({
    virtualSize: disk.size,
    l1Entries,
    l1Offset,
    refcountTableOffset: clusterSize,
    refcountTableClusters: most.tableClusters,
    compression,
    ...(backing === undefined ? {} : { backing: { name: backing, format: 'qcow2' } }),
  })
  const body: Body = {
    disk,
    clusters,
    tables,
    zeros: ({ whole: 'absent', groups: 'content', single: 'flagged' } as const)[form],
    compression,
    start: l1Offset + clusterSize * l1Clusters,
    signal: options.signal,
  }
  return { header, refcountTableClusters: most.tableClusters, l1Clusters, body }
}

interface Places {
  /** Of the L2 tables, by their numbers. */
  readonly tables: Map<number, number>
  /** Of the refcount blocks, in order. */
  readonly blocks: readonly number[]
}

const findPlaces = async (body: Body): Promise<Places> => {
  const tables = new Map<number, number>()
  let blocks: readonly number[] = []
  const written = writeBody(body, {
    onTable: (table, offset) => void tables.set(table, offset),
    onBlocks: (offsets) => void (blocks = offsets),
  })
  for await (const chunk of written) void chunk
  return { tables, blocks }
}

/** @throws AppError VDI_IO_ERROR where the disk is not what it was, so that all lies elsewhere */
const writeAgain = (body: Body, { tables, blocks }: Places): AsyncGenerator<Uint8Array> => {
  let count = 0
  return writeBody(body, {
    onTable(table, offset) {
      count += 1
      if (tables.get(table) === offset) return
      throw changed(`L2 table ${table} comes to lie at ${offset}, not ${tables.get(table)}`)
    },
    onBlocks(offsets) {
      if (count !== tables.size) throw changed(`${count} L2 tables, not ${tables.size}`)
      if (offsets.at(-1) !== blocks.at(-1)) throw changed(`it ends at ${offsets.at(-1)}`)
    },
  })
}

const changed = (found: string): AppError =>
  new AppError('VDI_IO_ERROR', [
    `Cannot compress qcow2: the disk changed while it was read: ${found}`,
  ])

const buildRefcountTable = (clusters: number, blocks: readonly number[]): Uint8Array => {
  const bytes = new Uint8Array(clusters * clusterSize)
  for (const [block, offset] of blocks.entries()) {
    writeUint64(viewOf(bytes), block * TABLE_ENTRY_SIZE, offset)
  }
  return bytes
}

const buildL1 = (clusters: number, tables: ReadonlyMap<number, number>): Uint8Array => {
  const bytes = new Uint8Array(clusters * clusterSize)
  const view = viewOf(bytes)
  for (const [table, offset] of tables) {
    writeEntries(view, table * TABLE_ENTRY_SIZE, offset, 1, clusterSize)
  }
  return bytes
}

async function* inChunks(
  parts: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let waiting: Uint8Array[] = []
  let length = 0
  for await (const part of parts) {
    waiting.push(part)
    length += part.length
    if (length < chunkSize) continue
    yield Buffer.concat(waiting)
    waiting = []
    length = 0
  }
  if (length > 0) yield Buffer.concat(waiting)
}
