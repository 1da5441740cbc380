// Opens the layers of a chain as one disk, with their maps from the cache.

import { collectBlockMap } from '../disk/block-map.ts'
import type { ChainLayer } from '../disk/chain-disk.ts'
import { createChainDisk } from '../disk/chain-disk.ts'
import type { PathLayer } from '../disk/delta-disk.ts'
import type { Disk } from '../disk/disk.ts'
import { settleAll } from '../disk/settle.ts'
import type { LayerLocks } from './layer-locks.ts'
import type { MapCache } from './map-cache.ts'
import type { LayerId, MappedLayer, Store } from './store.ts'

/** Where layers are opened, and what keeps them and their maps in step. */
export interface LayerSource {
  readonly store: Store
  readonly maps: MapCache
  readonly locks: LayerLocks
}

/** What each layer of a chain holds, without the chain staying open. */
export const readPath = async (
  { store, maps, locks }: LayerSource,
  chain: readonly MappedLayer[],
): Promise<PathLayer[]> => {
  const path: PathLayer[] = []
  for (const layer of chain) {
    const map = await locks.opening(layer.uuid, () =>
      maps.get(layer.uuid, () => store.readMap(layer)),
    )
    path.push({ uuid: layer.uuid, map })
  }
  return path
}

export interface OpenedChain {
  /** Owns the layers and closes them. */
  readonly disk: Disk
  /** What each layer holds, top first. */
  readonly path: readonly PathLayer[]
}

/**
 * @param chain top first
 * @param size virtual size of the disk that is seen through it
 */
export const openChain = async (
  source: LayerSource,
  chain: readonly LayerId[],
  size: number,
): Promise<OpenedChain> => {
  const opened: (ChainLayer & PathLayer)[] = []
  try {
    for (const layer of chain) opened.push(await openLayer(source, layer))
    return { disk: createChainDisk(opened, size), path: opened }
  } catch (error) {
    await settleAll(opened.map(({ disk }) => disk.close()))
    throw error
  }
}

const openLayer = ({ store, maps, locks }: LayerSource, layer: LayerId) =>
  locks.opening(layer.uuid, async () => {
    const disk = await store.openLayer(layer)
    try {
      const map = await maps.get(layer.uuid, () => collectBlockMap(disk))
      return { uuid: layer.uuid, disk, map }
    } catch (error) {
      await disk.close()
      throw error
    }
  })
