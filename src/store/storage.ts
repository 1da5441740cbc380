// All storage repositories together with the catalog: opens what a VDI shows, keeps it from being
// deleted while it is read, deletes what nobody reaches, and cleans up after a crash.

import pLimit from 'p-limit'
import type { Catalog } from '../catalog/catalog.ts'
import type { LayerRow } from '../catalog/layers.ts'
import { handleInvalid } from '../catalog/refs.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import type { PathLayer } from '../disk/delta-disk.ts'
import { createDeltaDisk } from '../disk/delta-disk.ts'
import type { Disk } from '../disk/disk.ts'
import { AppError } from '../errors.ts'
import { createMapCache } from './map-cache.ts'
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
   */
  openVdi(vdi: VdiRow, base?: VdiRow): Promise<OpenedVdi>

  /** What each layer of the VDI holds, top first, at this moment. No data is read and nothing stays open. */
  readPath(vdi: VdiRow): Promise<ReadPath>

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
  openLayers(layers: readonly LayerRow[], size: number): Promise<Disk>

  /** Deletes in the background the layers of the repository that no VDI reaches and nobody reads. */
  collect(srUuid: string): void

  /** At start: removes layers that a crash left half-written or half-deleted, and nothing else. */
  recover(): Promise<number>

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

export interface HeldVdis {
  /** In the order of the uuids. */
  readonly vdis: readonly VdiRow[]
  /** Idempotent. */
  readonly release: () => void
}

interface StorageOptions {
  readonly catalog: Catalog
  /** Told of a failure in the background. */
  readonly onError: (error: unknown, doing: string) => void
}

export const createStorage = ({ catalog, onError }: StorageOptions): Storage => {
  const stores = new Map<string, Store>()
  const maps = createMapCache()
  // Looking up a chain and pinning it is one step, and so is choosing what to delete.
  const oneAtATime = pLimit(1)
  const background = new Set<Promise<void>>()

  const store = (srUuid: string): Store => {
    const found = stores.get(srUuid)
    if (found === undefined) throw new AppError('HANDLE_INVALID', ['SR', srUuid])
    return found
  }

  const removeLayer = async (layer: LayerRow): Promise<void> => {
    await store(layer.srUuid).removeLayer(layer)
    await catalog.layers.remove(layer.uuid)
  }

  const collectNow = async (srUuid: string): Promise<void> => {
    const unreachable = await oneAtATime(() => catalog.layers.claimUnreachable(srUuid, pins.held()))
    for (const layer of unreachable) await removeLayer(layer)
  }

  const collect = (srUuid: string): void => {
    const work = collectNow(srUuid)
      .catch((error: unknown) => onError(error, `collecting the layers of SR ${srUuid}`))
      .finally(() => background.delete(work))
    background.add(work)
  }

  const pins = createPins(() => {
    for (const srUuid of stores.keys()) collect(srUuid)
  })

  const pinChain = ({ layerUuid }: VdiRow) =>
    oneAtATime(async () => {
      const chain = layerUuid === null ? [] : await catalog.layers.chain(layerUuid)
      return { chain, release: pins.pin(chain.map((layer) => layer.uuid)) }
    })

  const openPinned = async (vdi: VdiRow) => {
    const { chain, release } = await pinChain(vdi)
    try {
      const { disk, path } = await openChain(store(vdi.srUuid), maps, chain, vdi.virtualSize)
      return { disk: closeWith(disk, release), path, chain }
    } catch (error) {
      release()
      throw error
    }
  }

  const readPinnedPath = async (vdi: VdiRow): Promise<ReadPath> => {
    const { chain, release } = await pinChain(vdi)
    try {
      return { chain, path: await readPath(store(vdi.srUuid), maps, chain) }
    } finally {
      release()
    }
  }

  const requireVdi = async (uuid: string): Promise<VdiRow> => {
    const vdi = await catalog.vdis.get(uuid)
    if (vdi === undefined) throw handleInvalid('VDI', uuid)
    return vdi
  }

  return {
    store,
    collect,
    holdVdis: (uuids) =>
      oneAtATime(async () => {
        const vdis = await Promise.all(uuids.map(requireVdi))
        const release = pins.pin(vdis.flatMap(({ layerUuid }) => layerUuid ?? []))
        return { vdis, release }
      }),
    holdLayers: (uuids) => oneAtATime(() => pins.pin(uuids)),
    openLayers: async (layers, size) =>
      (await openChain(store(layers[0]!.srUuid), maps, layers, size)).disk,
    readPath: readPinnedPath,
    attach: (srUuid, store) => void stores.set(srUuid, store),
    detach: (srUuid) => void stores.delete(srUuid),
    async openVdi(vdi, base) {
      const opened = await openPinned(vdi)
      if (base === undefined) return opened
      try {
        const below = await readPinnedPath(base)
        const delta = createDeltaDisk(opened.disk, opened.path, below.path)
        return { disk: delta, chain: opened.chain }
      } catch (error) {
        await opened.disk.close()
        throw error
      }
    },
    async recover() {
      const left = await catalog.layers.unfinished()
      for (const layer of left) await removeLayer(layer)
      for (const srUuid of stores.keys()) await collectNow(srUuid)
      return left.length
    },
    async settled() {
      while (background.size > 0) await Promise.all(background)
    },
  }
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
