// All storage repositories together with the catalog: opens what a VDI shows, keeps it from being
// deleted while it is read, has what nobody reaches deleted and long chains merged, and cleans up after
// a crash.

import pLimit from 'p-limit'
import type { Catalog } from '../catalog/catalog.ts'
import type { LayerRow } from '../catalog/layers/layers.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import { closeWith } from '../disk/close-with.ts'
import { AppError } from '../errors.ts'
import type { CoalescingOptions } from './upkeep/coalescer.ts'
import { createCoalescer } from './upkeep/coalescer.ts'
import { createCollector } from './upkeep/collect-layers.ts'
import type { Deltas } from './reading/deltas.ts'
import { createDeltas } from './reading/deltas.ts'
import { createFollower } from './scanning/follow-changes.ts'
import { createLayerLocks } from './reading/layer-locks.ts'
import { createMapCache } from './reading/map-cache.ts'
import { mergeRun } from './upkeep/merge-run.ts'
import type { LayerSource, OpenedChain } from './reading/open-chain.ts'
import { openChain, openChainOnDemand } from './reading/open-chain.ts'
import type { HeldVdis, OpenedRuns, OpenedVdi } from './reading/opened.ts'
import { createVdiPins } from './reading/pin-vdis.ts'
import { createPins } from './reading/pins.ts'
import { requireData } from './reading/require-data.ts'
import type { Scanner } from './scanning/scan-folder.ts'
import { createScanner } from './scanning/scan-folder.ts'
import type { Store } from './files/store.ts'

export interface Storage {
  /** The store of a storage repository; HANDLE_INVALID where there is none. */
  store(srUuid: string): Store

  /** From now on the storage repository has this store. */
  attach(srUuid: string, store: Store): void

  /**
   * The same, for one whose folder may have been away: if since the start, what a crash left there goes first.
   */
  reattach(srUuid: string, store: Store): Promise<void>

  /** The storage repository is forgotten here; what lies in it stays. */
  detach(srUuid: string): void

  /** Scans, and what they know of files that others wrote. */
  readonly files: Scanner

  /** False: the folder of the storage repository is not there, for now. */
  isAttached(srUuid: string): boolean

  /** Whether anybody reads a layer of the storage repository. */
  isRead(srUuid: string): Promise<boolean>

  /**
   * What the VDI shows at this moment; later imports do not disturb it. Closing the disk ends that. A file that
   * others have changed since it was found is looked at again first.
   * @param base where given, the disk's extents tell only what may differ from this VDI, by the maps alone
   * @throws AppError VDI_INCOMPATIBLE_TYPE for a VDI without data; as a base it will do
   */
  openVdi(vdi: VdiRow, base?: VdiRow): Promise<OpenedVdi>

  /** What the VDI holds, range by range, without a map of the whole. Closing it is as of `openVdi`. */
  openRuns(vdi: VdiRow): Promise<OpenedRuns>

  /** What differs between two VDIs, of one storage repository or of two. */
  readonly deltas: Deltas

  /**
   * The rows of these VDIs at this moment, whose layers are kept until `release` is called.
   * @throws AppError HANDLE_INVALID for one that is not there
   */
  holdVdis(uuids: readonly string[]): Promise<HeldVdis>

  /** Keeps layers, with all below them, until the returned function is called; they need not be there yet. */
  holdLayers(uuids: readonly string[]): Promise<() => void>

  /**
   * A stretch of a chain as one disk: what it does not hold is a hole. The caller holds the layers, and closes the disk.
   * @param layers top first, at least one
   * @param size virtual size of the disk, in bytes
   */
  openLayers(layers: readonly LayerRow[], size: number): Promise<OpenedChain>

  /**
   * In the background: deletes the layers of the repository that no VDI reaches and nobody reads, and
   * the data of which only the map is needed; then merges what makes a chain too long.
   */
  collect(srUuid: string): void

  /** The same, but waits for the deleting. Merging goes on in the background. @throws what went wrong */
  collectNow(srUuid: string): Promise<void>

  /** Ends the merging of layers that this task stands for; false for another task. */
  cancel(taskRef: string): boolean

  /**
   * At start: removes layers that a crash left half-written or half-deleted and what is left in
   * staging, and nothing else. Then collects, and merges in the background. What fails in one storage
   * repository keeps none from being used.
   * @returns how many layers a crash had left
   */
  recover(): Promise<number>

  /** Layers are merged no longer; what runs ends as soon as it can. */
  stop(): void

  /** Returns when nothing runs in the background any more. */
  settled(): Promise<void>
}

interface StorageOptions {
  readonly catalog: Catalog
  /** Told of a failure in the background. */
  readonly onError: (error: unknown, doing: string) => void
  /** Absent: chains are not merged. */
  readonly coalescing?: CoalescingOptions
}

export const createStorage = ({ catalog, onError, coalescing }: StorageOptions): Storage => {
  const stores = new Map<string, Store>()
  const maps = createMapCache()
  const locks = createLayerLocks()
  // Looking up a chain and pinning it is one step, and so is choosing what to delete.
  const oneAtATime = pLimit(1)
  const background = new Set<Promise<void>>()
  // Those whose folder was there once since the start: they have been cleaned up.
  const used = new Set<string>()
  const reattaching = pLimit(1)

  const store = (srUuid: string): Store => {
    const found = stores.get(srUuid)
    if (found === undefined) throw new AppError('HANDLE_INVALID', ['SR', srUuid])
    return found
  }
  const source = (srUuid: string): LayerSource => ({ store: store(srUuid), maps, locks })

  const files = createScanner({ catalog, store })
  const followChanges = createFollower(catalog, files)
  const attach = (srUuid: string, store: Store): void => {
    stores.set(srUuid, store)
    if (store.whyDetached === undefined) used.add(srUuid)
  }
  const isAttached = (srUuid: string): boolean =>
    stores.has(srUuid) && stores.get(srUuid)?.whyDetached === undefined

  const collector = createCollector({
    catalog,
    pins: () => pins,
    source: (srUuid) => (isAttached(srUuid) ? source(srUuid) : undefined),
    neededByOthers: (srUuid) => files.neededByOthers(srUuid),
    oneAtATime,
  })

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

  const pins = createPins(() => {
    for (const srUuid of stores.keys()) inBackground(srUuid, collectUnread(srUuid))
  })

  const { pinLayer, pinVdis, holdVdis } = createVdiPins({ catalog, pins, oneAtATime })

  /** As the row says: throws ChangedFileError where a file is no longer what it was. */
  const openPinned = async (vdi: VdiRow, open = openChain) => {
    requireData(vdi)
    const [pinned] = await pinVdis([vdi])
    const { chain, release } = pinned!
    try {
      const opened = await open(source(vdi.srUuid), chain, vdi.virtualSize)
      const verify = (): Promise<void> => opened.verify()
      return { opened, disk: closeWith(opened, release), chain, vdi, verify }
    } catch (error) {
      release()
      throw error
    }
  }

  const openWhole = async (vdi: VdiRow): Promise<OpenedVdi> => {
    const { opened: _opened, ...whole } = await followChanges([vdi], ([now]) => openPinned(now!))
    return whole
  }

  const deltas = createDeltas({ source, pinVdis, followChanges, openVdi: openPinned })

  const coalescer =
    coalescing &&
    createCoalescer({
      ...coalescing,
      catalog,
      isAttached,
      merge: (run, options) =>
        mergeRun(
          {
            ...source(run[0]!.srUuid),
            pinLayer,
            isRun: (run) => catalog.coalescing.isRun(run),
            rebase: (rebase) => oneAtATime(() => catalog.coalescing.rebase(rebase)),
          },
          run,
          options,
        ),
    })

  return {
    store,
    collect: (srUuid) => inBackground(srUuid, collectNow(srUuid)),
    collectNow,
    attach,
    reattach: (srUuid, store) =>
      reattaching(async () => {
        const isNew = store.whyDetached === undefined && !used.has(srUuid)
        if (isNew) await collector.recover(srUuid, store)
        attach(srUuid, store)
      }),
    detach(srUuid) {
      coalescer?.leave(srUuid)
      stores.delete(srUuid)
      used.delete(srUuid)
      files.forget(srUuid)
    },
    deltas,
    files,
    isAttached,
    async isRead(srUuid) {
      const held = pins.held()
      return (await catalog.layers.list(srUuid)).some((layer) => held.has(layer.uuid))
    },
    holdVdis,
    holdLayers: (uuids) => oneAtATime(() => pins.pin(uuids)),
    openLayers: (layers, size) => openChain(source(layers[0]!.srUuid), layers, size),
    openVdi: (vdi, base) =>
      base === undefined ? openWhole(vdi) : deltas.open(vdi, base, { narrow: 'never' }),
    async openRuns(vdi) {
      const { opened, disk, ...rest } = await followChanges([vdi], ([now]) =>
        openPinned(now!, openChainOnDemand),
      )
      return { ...rest, runs: (range) => opened.runs(range), close: () => disk.close() }
    },
    cancel: (taskRef) => coalescer?.cancel(taskRef) ?? false,
    async recover() {
      let count = 0
      for (const uuid of used) {
        try {
          count += await collector.recover(uuid, store(uuid))
        } catch (error) {
          onError(error, `cleaning up the SR ${uuid} after a crash`)
        }
        inBackground(uuid, collectNow(uuid))
      }
      await Promise.all(background)
      return count
    },
    stop: () => coalescer?.stop(),
    async settled() {
      do {
        await Promise.all(background)
        await coalescer?.settled()
      } while (background.size > 0)
    },
  }
}
