// Merges a run of layers (catalog/choose-run.ts) into a new file for its top layer, which then lies
// on what the run lay on. The top layer keeps its uuid and its file name: VDIs, children, imports
// under way on top of it and the names in its children's headers all stay as they are.
//
// Two steps make it count: the new file takes the old one's name, then the catalog moves the layer
// onto the run's parent. Between them, and for ever if the process dies there, the new file lies on
// the old chain, which then shows what it showed: the new file holds what the run shows, and where
// it holds nothing, no layer of the run does. The same for a reader that looked the chain up before
// the second step and opens the layer after the first; the layers that it has pinned stay until it
// is done. A reader never has the new map with the old file, nor the old map on the new chain:
// layer-locks.ts.

import type { Rebase } from '../../catalog/layers/coalescing.ts'
import type { LayerRow } from '../../catalog/layers/layer-row.ts'
import { collectBlockMap } from '../../disk/block-map.ts'
import { copyExtents } from '../../disk/copy-extents.ts'
import { throwIfAborted } from '../../disk/disk.ts'
import { settleAll } from '../../disk/settle.ts'
import { AppError } from '../../errors.ts'
import { createBufferPool } from '../../image/buffer-pool.ts'
import { formatBytes, MiB } from '../../units.ts'
import { imageUuidOf } from '../files/file-stamp.ts'
import type { LayerSource } from '../reading/open-chain.ts'
import { openChain } from '../reading/open-chain.ts'
import { layerFileName } from '../files/store.ts'

/** Bytes copied between two checks that the run is still one: VDIs come and go. */
const checkInterval = 64 * MiB

/** Bytes copied at a time, and how many such pieces may be under way. */
const pieceSize = MiB
const pieceCount = 4

interface MergePorts extends LayerSource {
  /** The layers of the chain from this one down, kept from being deleted until released. */
  pinLayer(uuid: string): Promise<{ chain: readonly LayerRow[]; release: () => void }>
  /** Whether the layers still are a run that somebody needs. */
  isRun(run: readonly LayerRow[]): Promise<boolean>
  /** Makes the merged file count; false if the layers are no longer a run. */
  rebase(rebase: Rebase): Promise<boolean>
}

export interface MergeOptions {
  readonly signal: AbortSignal
  /** Awaited before that many bytes are copied. */
  readonly beforePiece: (bytes: number) => Promise<void>
  /** The task that the merging ends; its result is `freed` of Merged. */
  readonly taskRef?: string
}

export interface Merged {
  /** Bytes that the new file takes. */
  readonly fileSize: number
  /** Bytes that the files of the run took beyond that; negative where it takes more. */
  readonly freed: number
}

/** As the task's result shows it. */
export const freedResult = (freed: number): string => `<value>${freed}</value>`

/**
 * @param run top first
 * @returns undefined where it was no longer a run: nothing has changed then
 * @throws AppError SR_FULL before anything is written, where there is no room for the copy
 */
export const mergeRun = async (
  ports: MergePorts,
  run: readonly LayerRow[],
  options: MergeOptions,
): Promise<Merged | undefined> => {
  const { chain, release } = await ports.pinLayer(run[0]!.uuid)
  try {
    if (!run.every(({ uuid }, index) => chain[index]?.uuid === uuid)) return undefined
    const watched = watchRun(ports, run, options)
    try {
      const fileSize = await replaceTop(ports, chain, run.length, watched)
      const freed = bytesOf(run) - fileSize
      const { taskRef } = options
      const task = taskRef === undefined ? undefined : { ref: taskRef, result: freedResult(freed) }
      if (!(await ports.rebase({ run, fileSize, task }))) return undefined
      return { fileSize, freed }
    } catch (error) {
      if (watched.isOver()) return undefined
      throw error
    }
  } finally {
    release()
  }
}

/**
 * The options, ended when the layers are no longer a run, so they are not held for nothing.
 */
const watchRun = (
  ports: MergePorts,
  run: readonly LayerRow[],
  { signal, beforePiece }: MergeOptions,
): MergeOptions & { isOver(): boolean } => {
  const over = new AbortController()
  let unchecked = 0
  return {
    signal: AbortSignal.any([signal, over.signal]),
    async beforePiece(bytes) {
      unchecked += bytes
      if (unchecked >= checkInterval) {
        unchecked = 0
        if (!(await ports.isRun(run))) over.abort()
      }
      throwIfAborted(over.signal)
      await beforePiece(bytes)
    },
    isOver: () => over.signal.aborted,
  }
}

/** @returns the bytes of the new file, which is in place */
const replaceTop = async (
  ports: MergePorts,
  chain: readonly LayerRow[],
  length: number,
  { signal, beforePiece }: MergeOptions,
): Promise<number> => {
  const { store, maps, locks } = ports
  const run = chain.slice(0, length)
  const below = chain.slice(length)
  const [top, parent] = [run[0]!, below[0]]
  await requireRoom(ports, bytesOf(run))
  const merged = await openChain(ports, run, top.virtualSize)
  const under = parent && (await openOrClose(ports, below, merged))
  try {
    const replacement = await store.replaceLayer(top, {
      size: top.virtualSize,
      timestamp: top.createdAt,
      ...(parent &&
        under && {
          parent: {
            uuid: imageUuidOf(parent),
            timestamp: parent.createdAt,
            format: parent.format,
            fileName: layerFileName(parent),
            disk: under,
          },
        }),
    })
    const buffers = createBufferPool(pieceCount, pieceSize)
    try {
      await copyExtents(merged, replacement, { buffers, signal, beforePiece })
      await replacement.seal(await collectBlockMap(merged))
      throwIfAborted(signal)
      return await locks.replacing(top.uuid, async () => {
        try {
          return await replacement.replace()
        } finally {
          maps.forget(top.uuid)
        }
      })
    } finally {
      buffers.close()
      await replacement.abort()
    }
  } finally {
    await settleAll([merged.close(), ...(under ? [under.close()] : [])])
  }
}

const openOrClose = async (
  ports: MergePorts,
  below: readonly LayerRow[],
  other: { close(): Promise<void> },
) => {
  try {
    return await openChain(ports, below, below[0]!.virtualSize)
  } catch (error) {
    await other.close()
    throw error
  }
}

/** Background work must not fill the storage. */
const requireRoom = async ({ store }: MergePorts, bytes: number): Promise<void> => {
  const { size, used } = await store.space()
  if (size - used >= bytes) return
  const found = `they take ${formatBytes(bytes, size - used)}, ${formatBytes(size - used, bytes)} are free`
  throw new AppError('SR_FULL', [], { message: `Cannot merge layers: ${found}` })
}

const bytesOf = (run: readonly LayerRow[]): number =>
  run.reduce((sum, { fileSize }) => sum + fileSize, 0)
