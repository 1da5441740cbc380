// Disk → chunks for VMDK, streamOptimized: what vSphere takes, and what lies in an OVA. Grains that
// hold something are compressed, several at once; each table follows its grains, then come the
// directory and the footer.

import { deflate } from 'node:zlib'
import { throwIfAborted } from '../../disk/disk.ts'
import type { Disk } from '../../disk/disk.ts'
import { collectUnitRuns } from '../../disk/unit-runs.ts'
import { isZero } from '../../disk/zero.ts'
import { viewOf } from '../../image/binary.ts'
import { receivedBytes } from '../../image/young-garbage.ts'
import { SECTOR_SIZE, alignUp, unitsFor } from '../../units.ts'
import type { ImageIdentity } from '../format.ts'
import { GRAIN_MARKER_SIZE, TABLE_ENTRIES, WRITTEN_GRAIN_SIZE, markerTypes } from './constants.ts'
import { refuseDelta } from './plan.ts'
import { STREAM_OVERHEAD, marked, numbers, streamHead, streamHeader } from './stream-parts.ts'

const grainSectors = WRITTEN_GRAIN_SIZE / SECTOR_SIZE

/** Read together, compressed together, while the ones before are sent. */
const grainsInPiece = 16

/** More takes twice the time for a few percent. */
const level = 4

/** See ImageFormat.encode. */
export async function* encodeVmdk(
  disk: Disk,
  identity: ImageIdentity,
  { signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    refuseDelta(identity)
    const { size } = disk
    yield streamHead(size, identity)
    const tables = unitsFor(size, WRITTEN_GRAIN_SIZE * TABLE_ENTRIES)
    const directory = new Uint32Array(tables)
    let sector = STREAM_OVERHEAD
    let table: { readonly number: number; readonly places: Uint32Array } | undefined
    const closeTable = function* (): Generator<Uint8Array, void, undefined> {
      if (table === undefined) return
      directory[table.number] = sector + 1
      const bytes = marked(markerTypes.table, numbers(table.places))
      sector += bytes.length / SECTOR_SIZE
      yield bytes
    }
    for await (const { grain, bytes } of compressedGrains(disk, signal)) {
      const number = Math.floor(grain / TABLE_ENTRIES)
      if (table?.number !== number) {
        yield* closeTable()
        table = { number, places: new Uint32Array(TABLE_ENTRIES) }
      }
      table.places[grain % TABLE_ENTRIES] = sector
      sector += bytes.length / SECTOR_SIZE
      yield bytes
    }
    yield* closeTable()
    yield marked(markerTypes.directory, numbers(directory))
    yield marked(markerTypes.footer, streamHeader(size, BigInt(sector + 1)))
    yield new Uint8Array(SECTOR_SIZE)
  } finally {
    await disk.close()
  }
}

interface CompressedGrain {
  readonly grain: number
  /** With its marker, up to the next sector. */
  readonly bytes: Uint8Array
}

/** Ascending; grains of zeros are left out. One piece is compressed while the next is read. */
async function* compressedGrains(
  disk: Disk,
  signal: AbortSignal | undefined,
): AsyncGenerator<CompressedGrain, void, undefined> {
  const runs = await collectUnitRuns(disk, WRITTEN_GRAIN_SIZE, ['data'])
  let before: Promise<CompressedGrain[]> | undefined
  for (let rank = 0; rank < runs.count;) {
    const run = runs.runAt(rank)
    const count = Math.min(run.length, grainsInPiece)
    rank += count
    const next = compressPiece(await readPiece(disk, run.unit, count, signal), run.unit)
    next.catch(() => {})
    if (before !== undefined) yield* await before
    before = next
  }
  if (before !== undefined) yield* await before
}

/** The last grain ends with zeros. */
const readPiece = async (
  disk: Disk,
  grain: number,
  count: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> => {
  throwIfAborted(signal)
  const offset = grain * WRITTEN_GRAIN_SIZE
  const piece = new Uint8Array(count * WRITTEN_GRAIN_SIZE)
  receivedBytes(piece.length)
  await disk.read(offset, piece.subarray(0, Math.min(piece.length, disk.size - offset)), signal)
  return piece
}

const compressPiece = async (piece: Uint8Array, first: number): Promise<CompressedGrain[]> => {
  const grains: Promise<CompressedGrain>[] = []
  for (let at = 0; at < piece.length; at += WRITTEN_GRAIN_SIZE) {
    const content = piece.subarray(at, at + WRITTEN_GRAIN_SIZE)
    if (!isZero(content)) grains.push(compressGrain(first + at / WRITTEN_GRAIN_SIZE, content))
  }
  return Promise.all(grains)
}

const compressGrain = (grain: number, content: Uint8Array): Promise<CompressedGrain> =>
  new Promise((resolve, reject) => {
    deflate(content, { level }, (error, compressed) => {
      if (error !== null) return reject(error)
      receivedBytes(compressed.length)
      const bytes = new Uint8Array(alignUp(GRAIN_MARKER_SIZE + compressed.length, SECTOR_SIZE))
      const view = viewOf(bytes)
      view.setBigUint64(0, BigInt(grain * grainSectors), true)
      view.setUint32(8, compressed.length, true)
      bytes.set(compressed, GRAIN_MARKER_SIZE)
      return resolve({ grain, bytes })
    })
  })
