// The use case behind /vdi_extents: what a VDI holds, or in what it differs from another, stretch by
// stretch. Asks for no map of the whole disk; knows no HTTP.

import type { VdiRow } from '../catalog/vdis.ts'
import type { MapRun } from '../disk/block-map.ts'
import type { MapEntry } from '../disk/block-map-json.ts'
import { mapEntryOf } from '../disk/block-map-json.ts'
import type { ByteRange, Extent } from '../disk/extents.ts'
import { AppError } from '../errors.ts'
import type { Narrowing } from '../store/reading/deltas.ts'
import { formatBytes } from '../units.ts'
import type { TransferContext } from '../transfer/context.ts'
import { strongTag } from './export-vdi.ts'
import { nameOf } from '../transfer/find.ts'
import { inTurnsOf } from '../transfer/in-turns.ts'
import { openNow } from '../transfer/open-now.ts'
import type { Turn } from '../transfer/turns.ts'
import type { TaskHandle } from '../transfer/with-task.ts'

export interface ExtentsRequest {
  readonly vdiUuid: string
  /** Only what differs from this VDI is present. */
  readonly baseUuid?: string
  /** Of a difference: see ExportRequest. */
  readonly narrow?: Narrowing
  /** In bytes; without it from the start. */
  readonly offset?: number
  /** In bytes; without it up to the end. */
  readonly length?: number
  /** Aborted when the client has left. */
  readonly clientLeft?: AbortSignal
}

/** Extents on loan: valid until `deliver` returns. */
export interface ReadyExtents {
  /** Ascending, gap-free, clipped to the range; neighbours may be alike. To be iterated once. */
  readonly runs: AsyncIterable<MapRun> | Iterable<MapRun>
  /** How one is shown. */
  readonly entryOf: (run: MapRun) => MapEntry
  /** Strong: the same tag means the same entries. Quoted, as HTTP wants it. */
  readonly etag: string
  /** Aborted when the client has left or the server stops. */
  readonly signal: AbortSignal
  /** See ReadyExport. */
  readonly turn: Turn
  readonly open: () => Promise<void>
}

/**
 * Runs as one transfer. What it throws before it calls `deliver` is a refusal.
 * @throws AppError HANDLE_INVALID, INVALID_VALUE for a range that leaves the VDI, TOO_BUSY, or what `deliver` throws
 */
export const listExtents = (
  context: TransferContext,
  request: ExtentsRequest,
  task: TaskHandle,
  deliver: (ready: ReadyExtents) => Promise<void>,
): Promise<void> =>
  context.transfers.run(task, async ({ signal: stopped, turn, open }) => {
    const { baseUuid, narrow = 'small', clientLeft } = request
    const signal = clientLeft === undefined ? stopped : AbortSignal.any([stopped, clientLeft])
    const listed = await openNow(context, request.vdiUuid, baseUuid, async (vdi, base) => {
      const range = rangeOf(vdi, request)
      const opened =
        base === undefined
          ? await openWhole(context, vdi, range)
          : await openDelta(context, { vdi, base, narrow, task, signal }, range)
      return { ...opened, range }
    })
    const { vdi, baseVdi: base, range } = listed
    try {
      const disks = [vdi, base].map((disk) => [disk?.uuid, disk?.contentUuid, disk?.virtualSize])
      await deliver({
        runs: listed.runs,
        entryOf: listed.entryOf,
        etag: strongTag(['extents', disks, listed.basis, range.offset, range.length]),
        signal,
        turn,
        open: async () => {
          await open()
          task.begin(`Extents of ${nameOf(vdi)}`)
        },
      })
    } finally {
      await listed.close()
    }
  })

/** @throws AppError INVALID_VALUE */
const rangeOf = (
  { uuid, virtualSize }: VdiRow,
  { offset = 0, length = Math.max(0, virtualSize - offset) }: ExtentsRequest,
): ByteRange => {
  if (offset + length <= virtualSize) return { offset, length }
  const [name, value] = offset > virtualSize ? ['offset', offset] : ['length', length]
  throw new AppError('INVALID_VALUE', [name, String(value)], {
    message: `${length} bytes at ${offset} leave the VDI ${uuid}, which has ${formatBytes(virtualSize)}`,
  })
}

interface Listed extends Pick<ReadyExtents, 'runs' | 'entryOf'> {
  readonly vdi: VdiRow
  readonly baseVdi?: VdiRow
  /** What the entries depend on beside the content. */
  readonly basis: string
  close(): Promise<void>
}

/** All that the chain holds, with the depth of the layer that holds it; as `qemu-img map` shows the chain. */
const openWhole = async (
  { storage }: TransferContext,
  vdi: VdiRow,
  range: ByteRange,
): Promise<Listed> => {
  const opened = await storage.openRuns(vdi)
  const { chain } = opened
  // Of a hole all layers have been asked.
  const bottom = Math.max(0, chain.length - 1)
  return {
    runs: verified(opened.runs(range), opened.verify),
    entryOf: (run) => mapEntryOf(run.kind === 'hole' ? { ...run, depth: bottom } : run),
    vdi: opened.vdi,
    basis: chain.map(({ uuid }) => uuid).join(' '),
    close: () => opened.close(),
  }
}

interface DeltaRequest {
  readonly vdi: VdiRow
  readonly base: VdiRow
  readonly narrow: Narrowing
  readonly task: TaskHandle
  readonly signal: AbortSignal
}

/** What has changed. */
const openDelta = async (
  { storage, transfers }: TransferContext,
  { vdi, base, narrow, task, signal }: DeltaRequest,
  range: ByteRange,
): Promise<Listed> => {
  const { disk, ...rest } = await storage.deltas.open(vdi, base, {
    narrow,
    signal,
    inTurns: inTurnsOf(transfers, task.user),
  })
  return {
    runs: verified(atTop(disk.extents(range)), rest.verify),
    // Of what has not changed nothing is said: reading it as zeros would be wrong.
    entryOf: (run) => ({ ...mapEntryOf(run), zero: run.kind === 'zero' }),
    vdi: rest.vdi,
    baseVdi: rest.baseVdi,
    basis: rest.basis,
    close: () => disk.close(),
  }
}

/** A difference is one image: all of it at depth 0. */
async function* atTop(extents: AsyncIterable<Extent>): AsyncGenerator<MapRun, void, undefined> {
  for await (const { offset, length, kind } of extents) yield { offset, length, kind, depth: 0 }
}

/** The last run is followed by a look whether a file was changed by others meanwhile: then it throws. */
async function* verified(
  runs: AsyncIterable<MapRun> | Iterable<MapRun>,
  verify: () => Promise<void>,
): AsyncGenerator<MapRun, void, undefined> {
  yield* runs
  await verify()
}
