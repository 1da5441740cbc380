// All storage repositories together with the catalog: opens what a VDI shows, keeps it from being
// deleted while it is read, has what nobody reaches deleted and long chains merged, and cleans up after
// a crash.

import pLimit from 'p-limit'
import type { Catalog } from '../catalog/catalog.ts'
import { WITHOUT_DATA } from '../catalog/kept-maps.ts'
import type { LayerRow } from '../catalog/layers.ts'
import { toRef } from '../catalog/refs.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import type { PathLayer } from '../disk/delta-disk.ts'
import { createDeltaDisk } from '../disk/delta-disk.ts'
import type { Disk } from '../disk/disk.ts'
import { AppError } from '../errors.ts'
import type { CoalescingOptions } from './coalescer.ts'
import { createCoalescer } from './coalescer.ts'
import { createCollector } from './collect-layers.ts'
import { createLayerLocks } from './layer-locks.ts'
import { createMapCache } from './map-cache.ts'
import { mergeRun } from './merge-run.ts'
import type { LayerSource } from './open-chain.ts'
import { openChain, readPath } from './open-chain.ts'
import { createPins } from './pins.ts'
import type { Store } from './store.ts'

export interface Storage {
  /** The store of a storage repository; HANDLE_INVALID where there is none. */
  store(srUuid: string): Store

  /** From now on the storage repository has this store. */
  attach(srUuid: string, store: Store): void

  /** The storage repository is forgotten here; what lies in it stays. */
  detach(srUuid: string): void

  /**
   * What the VDI shows at this moment; later imports do not disturb it. Closing the disk ends that.
   * @param base where given, the disk's extents tell only what may differ from this VDI: see createDeltaDisk
   * @throws AppError VDI_INCOMPATIBLE_TYPE for a VDI without data; as a base it will do
   */
  openVdi(vdi: VdiRow, base?: VdiRow): Promise<OpenedVdi>

  /** What each layer of the VDI holds, top first, at this moment. No data is read and nothing stays open. */
  readPath(vdi: VdiRow): Promise<ReadPath>

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
   * staging, and nothing else. Then collects, and merges in the background.
   * @returns how many layers a crash had left
   */
  recover(): Promise<number>

  /** Layers are merged no longer; what runs ends as soon as it can. */
  stop(): void

  /** Returns when nothing runs in the background any more. */
  settled(): Promise<void>
}

export interface OpenedVdi {
  readonly disk: Disk
  /** Its layers, top first; none for a VDI that was never written. */
  readonly chain: readonly LayerRow[]
}

export interface ReadPath {
  readonly chain: readonly LayerRow[]
  readonly path: readonly PathLayer[]
}

/** The layers of a chain, top first, kept from being deleted until released. */
interface PinnedChain {
  readonly chain: readonly LayerRow[]
  readonly release: () => void
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

  const store = (srUuid: string): Store => {
    const found = stores.get(srUuid)
    if (found === undefined) throw new AppError('HANDLE_INVALID', ['SR', srUuid])
    return found
  }
  const source = (srUuid: string): LayerSource => ({ store: store(srUuid), maps, locks })

  const collector = createCollector({
    catalog,
    pins: () => pins,
    source: (srUuid) => (stores.has(srUuid) ? source(srUuid) : undefined),
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

  /** Chains that are looked up in one step go together: merging may make them shorter meanwhile. */
  const pinChains = (layerUuids: readonly (string | null)[]): Promise<PinnedChain[]> =>
    oneAtATime(async () => {
      const chains: LayerRow[][] = []
      for (const uuid of layerUuids) {
        chains.push(uuid === null ? [] : await catalog.layers.chain(uuid))
      }
      return chains.map((chain) => ({ chain, release: pins.pin(chain.map(({ uuid }) => uuid)) }))
    })
  const pinChain = async (layerUuid: string | null): Promise<PinnedChain> =>
    (await pinChains([layerUuid]))[0]!

  const openPinned = async (vdi: VdiRow, { chain, release }: PinnedChain) => {
    try {
      const { disk, path } = await openChain(source(vdi.srUuid), chain, vdi.virtualSize)
      return { disk: closeWith(disk, release), path, chain }
    } catch (error) {
      release()
      throw error
    }
  }

  const readPinned = async (srUuid: string, { chain, release }: PinnedChain) => {
    try {
      return { chain, path: await readPath(source(srUuid), chain) }
    } finally {
      release()
    }
  }

  const coalescer =
    coalescing &&
    createCoalescer({
      ...coalescing,
      catalog,
      merge: (run, options) =>
        mergeRun(
          {
            ...source(run[0]!.srUuid),
            pinLayer: pinChain,
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
    attach: (srUuid, store) => void stores.set(srUuid, store),
    detach(srUuid) {
      coalescer?.leave(srUuid)
      stores.delete(srUuid)
    },
    async openVdi(vdi, base) {
      requireData(vdi)
      if (base === undefined) return openPinned(vdi, await pinChain(vdi.layerUuid))
      const [pinned, basePinned] = await pinChains([vdi.layerUuid, base.layerUuid])
      const steps = [openPinned(vdi, pinned!), readPinned(base.srUuid, basePinned!)] as const
      const [opened, below] = await Promise.allSettled(steps)
      if (opened.status === 'rejected') throw opened.reason
      const { disk, path, chain } = opened.value
      if (below.status === 'fulfilled') {
        return { disk: createDeltaDisk(disk, path, below.value.path), chain }
      }
      await disk.close()
      throw below.reason
    },
    readPath: async (vdi) => readPinned(vdi.srUuid, await pinChain(vdi.layerUuid)),
    cancel: (taskRef) => coalescer?.cancel(taskRef) ?? false,
    async recover() {
      const count = await collector.recover()
      for (const srUuid of stores.keys()) await collectNow(srUuid)
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

/** @throws AppError VDI_INCOMPATIBLE_TYPE for a VDI of which only the map of its blocks is left */
export const requireData = ({ uuid, type }: VdiRow): void => {
  if (type !== WITHOUT_DATA) return
  const message = `The data of the VDI ${uuid} was destroyed: it tells only what has changed`
  throw new AppError('VDI_INCOMPATIBLE_TYPE', [toRef(uuid), type], { message })
}

/** `disk`, whose close calls `release` too. */
const closeWith = (disk: Disk, release: () => void): Disk => ({
  size: disk.size,
  extents: (range) => disk.extents(range),
  read: (offset, target, signal) => disk.read(offset, target, signal),
  async close() {
    try {
      await disk.close()
    } finally {
      release()
    }
  },
})
