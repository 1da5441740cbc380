// All storage repositories together with the catalog: opens what a VDI shows, keeps it from being
// deleted while it is read, deletes what nobody reaches, and cleans up after a crash.

import pLimit from 'p-limit'
import type { Catalog } from '../catalog/catalog.ts'
import type { LayerRow } from '../catalog/layers.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import type { PathLayer } from '../disk/delta-disk.ts'
import { createDeltaDisk } from '../disk/delta-disk.ts'
import type { Disk } from '../disk/disk.ts'
import { AppError } from '../errors.ts'
import { createFollower } from './follow-changes.ts'
import { createMapCache } from './map-cache.ts'
import { openChain, readPath } from './open-chain.ts'
import { createPins } from './pins.ts'
import type { Scanner } from './scan-folder.ts'
import { createScanner } from './scan-folder.ts'
import type { Store } from './store.ts'

export interface Storage {
  /** The store of a storage repository; HANDLE_INVALID where there is none. */
  store(srUuid: string): Store

  /** From now on the storage repository has this store. */
  attach(srUuid: string, store: Store): void

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
   * @param base where given, the disk's extents tell only what may differ from this VDI: see createDeltaDisk
   */
  openVdi(vdi: VdiRow, base?: VdiRow): Promise<OpenedVdi>

  /** What each layer of the VDI holds, top first, at this moment. No data is read and nothing stays open. */
  readPath(vdi: VdiRow): Promise<ReadPath>

  /** Deletes in the background the layers of the repository that no VDI reaches and nobody reads. */
  collect(srUuid: string): void

  /**
   * At start: removes layers that a crash left half-written or half-deleted, and nothing else.
   * @param srUuid only there: for one whose folder was not there at start
   */
  recover(srUuid?: string): Promise<number>

  /** Returns when nothing runs in the background any more. */
  settled(): Promise<void>
}

export interface OpenedVdi {
  readonly disk: Disk
  /** Its layers, top first; none for a VDI that was never written. */
  readonly chain: readonly LayerRow[]
  /** As it was opened: a file that others have changed gives it another content uuid than it had. */
  readonly vdi: VdiRow
  /** The same of what a delta is taken against. */
  readonly baseVdi?: VdiRow
  /**
   * Says whether what was read so far is the content, before it is believed.
   * @throws ChangedFileError VDI_IO_ERROR where a file was changed by others since it was opened
   */
  readonly verify: () => Promise<void>
}

export interface ReadPath {
  readonly chain: readonly LayerRow[]
  readonly path: readonly PathLayer[]
  /** See OpenedVdi. */
  readonly vdi: VdiRow
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

  const files = createScanner({ catalog, store })
  const followChanges = createFollower(catalog, files)
  const isAttached = (srUuid: string): boolean =>
    stores.has(srUuid) && stores.get(srUuid)?.isDetached !== true

  const removeLayer = async (layer: LayerRow): Promise<void> => {
    await store(layer.srUuid).removeLayer(layer)
    await catalog.layers.remove(layer.uuid)
  }

  const collectNow = async (srUuid: string): Promise<void> => {
    if (!isAttached(srUuid)) return
    const kept = await files.neededByOthers(srUuid)
    const unreachable = await oneAtATime(() =>
      catalog.layers.claimUnreachable(srUuid, new Set([...pins.held(), ...kept])),
    )
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

  const openPinned = (asked: VdiRow) =>
    followChanges(asked, async (vdi) => {
      const { chain, release } = await pinChain(vdi)
      try {
        const opened = await openChain(store(vdi.srUuid), maps, chain, vdi.virtualSize)
        return { ...opened, disk: closeWith(opened.disk, release), chain, vdi }
      } catch (error) {
        release()
        throw error
      }
    })

  const readPinnedPath = (asked: VdiRow): Promise<ReadPath> =>
    followChanges(asked, async (vdi) => {
      const { chain, release } = await pinChain(vdi)
      try {
        return { chain, path: await readPath(store(vdi.srUuid), maps, chain), vdi }
      } finally {
        release()
      }
    })

  return {
    store,
    collect,
    files,
    isAttached,
    async isRead(srUuid) {
      const held = pins.held()
      return (await catalog.layers.list(srUuid)).some((layer) => held.has(layer.uuid))
    },
    readPath: readPinnedPath,
    attach: (srUuid, store) => void stores.set(srUuid, store),
    detach(srUuid) {
      stores.delete(srUuid)
      files.forget(srUuid)
    },
    async openVdi(vdi, base) {
      const opened = await openPinned(vdi)
      if (base === undefined) return opened
      try {
        const below = await readPinnedPath(base)
        const delta = createDeltaDisk(opened.disk, opened.path, below.path)
        return { ...opened, disk: delta, baseVdi: below.vdi }
      } catch (error) {
        await opened.disk.close()
        throw error
      }
    },
    async recover(srUuid) {
      const left = (await catalog.layers.unfinished()).filter(
        (layer) => isAttached(layer.srUuid) && (srUuid ?? layer.srUuid) === layer.srUuid,
      )
      for (const layer of left) await removeLayer(layer)
      for (const uuid of srUuid === undefined ? stores.keys() : [srUuid]) await collectNow(uuid)
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
