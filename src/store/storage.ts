// All storage repositories together with the catalog: opens what a VDI shows, keeps it from being
// deleted while it is read, deletes what nobody reaches, and cleans up after a crash.

import pLimit from 'p-limit'
import type { Catalog } from '../catalog/catalog.ts'
import type { LayerRow } from '../catalog/layers.ts'
import { handleInvalid } from '../catalog/refs.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import type { MapRun } from '../disk/block-map.ts'
import { closeWith } from '../disk/close-with.ts'
import type { Disk } from '../disk/disk.ts'
import type { ByteRange } from '../disk/extents.ts'
import { AppError } from '../errors.ts'
import type { Deltas } from './deltas.ts'
import { createDeltas } from './deltas.ts'
import { createMapCache } from './map-cache.ts'
import { openChain, openChainOnDemand } from './open-chain.ts'
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
   * @param base where given, the disk's extents tell only what may differ from this VDI, by the maps alone
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

export interface OpenedRuns {
  readonly chain: readonly LayerRow[]
  /** See ChainDisk. */
  runs(range: ByteRange): AsyncIterable<MapRun> | Iterable<MapRun>
  close(): Promise<void>
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

  const openPinned = async (vdi: VdiRow, open = openChain) => {
    const { chain, release } = await pinChain(vdi)
    try {
      const opened = await open(store(vdi.srUuid), maps, chain, vdi.virtualSize)
      return { opened, disk: closeWith(opened, release), chain }
    } catch (error) {
      release()
      throw error
    }
  }

  const openWhole = async (vdi: VdiRow): Promise<OpenedVdi> => {
    const { disk, chain } = await openPinned(vdi)
    return { disk, chain }
  }

  const requireVdi = async (uuid: string): Promise<VdiRow> => {
    const vdi = await catalog.vdis.get(uuid)
    if (vdi === undefined) throw handleInvalid('VDI', uuid)
    return vdi
  }

  const deltas = createDeltas({ store, maps, pinChain, openVdi: openWhole })

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
    openLayers: (layers, size) => openChain(store(layers[0]!.srUuid), maps, layers, size),
    deltas,
    attach: (srUuid, store) => void stores.set(srUuid, store),
    detach: (srUuid) => void stores.delete(srUuid),
    openVdi: (vdi, base) =>
      base === undefined ? openWhole(vdi) : deltas.open(vdi, base, { narrow: 'never' }),
    async openRuns(vdi) {
      const { opened, disk, chain } = await openPinned(vdi, openChainOnDemand)
      return { chain, runs: (range) => opened.runs(range), close: () => disk.close() }
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
