// Background work on storage repositories: layers that nothing needs are deleted, long
// chains are merged, and what a crash has left is removed.

import pLimit from 'p-limit'
import type { Catalog } from '../../catalog/catalog.ts'
import type { Store } from '../files/store.ts'
import type { LayerSource } from '../reading/open-chain.ts'
import { pinLayer } from '../reading/pin-vdis.ts'
import type { Pins } from '../reading/pins.ts'
import type { Scanner } from '../scanning/scan-folder.ts'
import type { Stores } from '../files/stores.ts'
import type { CoalescingOptions } from './coalescer.ts'
import { createCoalescer } from './coalescer.ts'
import { createCollector } from './collect-layers.ts'
import { mergeRun } from './merge-run.ts'

export interface Upkeep {
  /**
   * In the background: deletes the layers that no VDI needs and no reader has open,
   * and the data of which only the map is needed; then merges what makes a chain too long.
   */
  collect(srUuid: string): void

  /**
   * The same, but waits for the deleting. Merging goes on in the background.
   * @throws what went wrong
   */
  collectNow(srUuid: string): Promise<void>

  /** Ends the merging of layers that this task stands for; false for another task. */
  cancel(taskRef: string): boolean

  /**
   * At start: removes layers that a crash left half-written or half-deleted and what is left in
   * staging, and nothing else. Then collects, and merges in the background. What fails in one
   * storage repository keeps none from being used.
   * @returns how many layers a crash had left
   */
  recover(): Promise<number>

  /**
   * Attaches a storage repository whose folder may have been away: if it was away since the start,
   * what a crash left there is removed first.
   */
  reattach(srUuid: string, store: Store): Promise<void>

  /** No more layers are merged; what runs ends as soon as it can. */
  stop(): void

  /** Returns when nothing runs in the background any more. */
  settled(): Promise<void>
}

export interface UpkeepParts {
  readonly catalog: Catalog
  readonly stores: Stores
  readonly scanner: Scanner
  readonly pins: Pins
  readonly sourceOf: (srUuid: string) => LayerSource
  /** Told of a failure in the background. */
  readonly onError: (error: unknown, doing: string) => void
  /** Absent: chains are not merged. */
  readonly coalescing?: CoalescingOptions | undefined
}

export const createUpkeep = (parts: UpkeepParts): Upkeep => {
  const { catalog, stores, scanner, pins, sourceOf, onError } = parts
  const background = new Set<Promise<void>>()
  const reattaching = pLimit(1)
  const collector = createCollector({
    catalog,
    pins,
    sourceOf: (srUuid) => (stores.isAttached(srUuid) ? sourceOf(srUuid) : undefined),
    neededByOthers: (srUuid) => scanner.neededByOthers(srUuid),
  })
  const coalescer = parts.coalescing && createMerging(parts, parts.coalescing)

  const collectNow = async (srUuid: string): Promise<void> => {
    if ((await collector.collect(srUuid)) !== undefined) coalescer?.check(srUuid)
  }

  /** The end of a read makes no chain longer: only a layer that has gone lets others be merged. */
  const collectUnread = async (srUuid: string): Promise<void> => {
    const removed = await collector.collect(srUuid)
    if (removed !== undefined && removed > 0) coalescer?.check(srUuid)
  }

  const inBackground = (srUuid: string, collecting: Promise<void>): void => {
    const work = collecting
      .catch((error: unknown) => onError(error, `collecting the layers of SR ${srUuid}`))
      .finally(() => background.delete(work))
    background.add(work)
  }

  pins.whenReleased(() => {
    for (const srUuid of stores.list()) inBackground(srUuid, collectUnread(srUuid))
  })
  stores.whenDetached((srUuid) => coalescer?.leave(srUuid))

  return {
    collect: (srUuid) => inBackground(srUuid, collectNow(srUuid)),
    collectNow,
    cancel: (taskRef) => coalescer?.cancel(taskRef) ?? false,
    async recover() {
      let count = 0
      for (const srUuid of stores.list().filter((uuid) => stores.wasAttached(uuid))) {
        try {
          count += await collector.recover(srUuid, stores.get(srUuid))
        } catch (error) {
          onError(error, `cleaning up the SR ${srUuid} after a crash`)
        }
        inBackground(srUuid, collectNow(srUuid))
      }
      await Promise.all(background)
      return count
    },
    reattach: (srUuid, store) =>
      reattaching(async () => {
        const isBack = store.whyDetached === undefined && !stores.wasAttached(srUuid)
        if (isBack) await collector.recover(srUuid, store)
        stores.attach(srUuid, store)
      }),
    stop: () => coalescer?.stop(),
    async settled() {
      do {
        await Promise.all(background)
        await coalescer?.settled()
      } while (background.size > 0)
    },
  }
}

const createMerging = (
  { catalog, stores, pins, sourceOf }: UpkeepParts,
  coalescing: CoalescingOptions,
): ReturnType<typeof createCoalescer> =>
  createCoalescer({
    ...coalescing,
    catalog,
    isAttached: (srUuid) => stores.isAttached(srUuid),
    merge: (run, options) =>
      mergeRun(
        {
          ...sourceOf(run[0]!.srUuid),
          pinLayer: (uuid) => pinLayer({ catalog, pins }, uuid),
          isRun: (layers) => catalog.coalescing.isRun(layers),
          rebase: (rebase) => pins.step(() => catalog.coalescing.rebase(rebase)),
        },
        run,
        options,
      ),
  })
