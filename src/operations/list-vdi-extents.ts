// The use case behind /vdi_extents: what a VDI holds, or in what it differs from another, stretch
// by stretch. Asks for no map of the whole disk; knows no HTTP.

import type { VdiRow } from '../catalog/vdis.ts'
import type { MapRun } from '../disk/block-map.ts'
import type { MapEntry } from '../disk/block-map-json.ts'
import { mapEntryOf } from '../disk/block-map-json.ts'
import type { ByteRange } from '../disk/extents.ts'
import { AppError } from '../errors.ts'
import type { Narrowing } from '../store/reading/deltas.ts'
import type { OpenedContent } from '../store/reading/opened-content.ts'
import { formatBytes } from '../units.ts'
import { nameOf } from '../transfer/find.ts'
import { inTurnsOf } from '../transfer/in-turns.ts'
import type { Turn } from '../transfer/turns.ts'
import type { TaskHandle } from '../transfer/with-task.ts'
import type { OperationContext } from './context.ts'
import { contentKey, strongTag } from './vdi/validators.ts'

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
 * @throws AppError HANDLE_INVALID, INVALID_VALUE for a range that leaves the VDI, TOO_BUSY, or what
 *   `deliver` throws
 */
export const listVdiExtents = (
  context: OperationContext,
  request: ExtentsRequest,
  task: TaskHandle,
  deliver: (ready: ReadyExtents) => Promise<void>,
): Promise<void> =>
  context.transfers.run(task, async ({ signal: stopped, turn, open }) => {
    const { clientLeft } = request
    const signal = clientLeft === undefined ? stopped : AbortSignal.any([stopped, clientLeft])
    const opened = await openContent(context, { ...request, task, signal })
    try {
      const { vdi, baseVdi } = opened
      const range = rangeOf(vdi, request)
      const disks = [vdi, baseVdi].map(contentKey)
      await deliver({
        runs: verified(opened.runs(range), opened.verify),
        entryOf: entriesOf(opened),
        etag: strongTag(['extents', disks, basisOf(opened), range.offset, range.length]),
        signal,
        turn,
        open: async () => {
          await open()
          task.begin(`Extents of ${nameOf(vdi)}`)
        },
      })
    } finally {
      await opened.disk.close()
    }
  })

interface ContentRequest extends ExtentsRequest {
  readonly task: TaskHandle
  readonly signal: AbortSignal
}

const openContent = (
  { storage: { contents }, transfers }: OperationContext,
  { task, signal, ...request }: ContentRequest,
): Promise<OpenedContent> => {
  const { vdiUuid, baseUuid, narrow = 'small' } = request
  if (baseUuid === undefined) return contents.openRuns(vdiUuid)
  return contents.openDelta(vdiUuid, baseUuid, {
    narrow,
    signal,
    inTurns: inTurnsOf(transfers, task.user),
    check: (vdi) => void rangeOf(vdi, request),
  })
}

/**
 * Of a whole VDI all that the chain holds, with the depth of the layer that holds it, as `qemu-img
 * map` shows the chain: a hole has the depth of the lowest layer, because all layers have been
 * asked. Of a delta what has not changed is not said to be zero, because it need not be.
 */
const entriesOf = ({ chain, baseVdi }: OpenedContent): ReadyExtents['entryOf'] => {
  if (baseVdi !== undefined) return (run) => ({ ...mapEntryOf(run), zero: run.kind === 'zero' })
  const lowest = Math.max(0, chain.length - 1)
  return (run) => mapEntryOf(run.kind === 'hole' ? { ...run, depth: lowest } : run)
}

/** What the entries depend on beside the content. */
const basisOf = ({ chain, baseVdi, basis }: OpenedContent): string =>
  baseVdi === undefined ? chain.map(({ uuid }) => uuid).join(' ') : basis

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

/** Throws after the last run if others have changed a file meanwhile. */
async function* verified(
  runs: AsyncIterable<MapRun> | Iterable<MapRun>,
  verify: () => Promise<void>,
): AsyncGenerator<MapRun, void, undefined> {
  yield* runs
  await verify()
}
