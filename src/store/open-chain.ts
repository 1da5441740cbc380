// Opens the layers of a chain as one disk, with their maps from the cache.

import type { BlockMap } from '../disk/block-map.ts'
import { collectBlockMap } from '../disk/block-map.ts'
import type { ChainDisk, LayerOnDemand } from '../disk/chain-disk.ts'
import { createChainDisk, createChainOnDemand } from '../disk/chain-disk.ts'
import type { Disk } from '../disk/disk.ts'
import { settleAll } from '../disk/settle.ts'
import type { MapCache } from './map-cache.ts'
import { openWithMap } from './raw-sidecar.ts'
import type { LayerId, Store } from './store.ts'

/** What each of the layers holds, without any of them staying open. */
export const readMaps = async (
  store: Store,
  maps: MapCache,
  layers: readonly LayerId[],
): Promise<BlockMap[]> => {
  const read: BlockMap[] = []
  for (const layer of layers) {
    const map = await maps.get(layer.uuid, async () => {
      const disk = await store.openLayer(layer)
      try {
        return await collectBlockMap(disk)
      } finally {
        await disk.close()
      }
    })
    read.push(map)
  }
  return read
}

/**
 * The disk owns the layers and closes them.
 * @param chain top first
 * @param size virtual size of the disk that is seen through it
 */
export const openChain = async (
  store: Store,
  maps: MapCache,
  chain: readonly LayerId[],
  size: number,
): Promise<ChainDisk> => {
  const layers = await openLayers(store, chain, async (disk, { uuid }) => ({
    disk,
    map: await maps.get(uuid, () => collectBlockMap(disk)),
  }))
  return createChainDisk(layers, size)
}

/** The same, without collecting a map that is not known yet: for whoever needs little of the chain. */
export const openChainOnDemand = async (
  store: Store,
  maps: MapCache,
  chain: readonly LayerId[],
  size: number,
): Promise<ChainDisk> => {
  const layers = await openLayers(store, chain, async (disk, { uuid }) => {
    const map = maps.peek(uuid)
    return { disk: map === undefined ? disk : openWithMap(disk, map) }
  })
  return createChainOnDemand(layers, size)
}

/** Opens all, or on a throw none. */
const openLayers = async <T extends LayerOnDemand>(
  store: Store,
  chain: readonly LayerId[],
  finish: (disk: Disk, layer: LayerId) => Promise<T>,
): Promise<T[]> => {
  const opened: T[] = []
  try {
    for (const layer of chain) {
      const disk = await store.openLayer(layer)
      try {
        opened.push(await finish(disk, layer))
      } catch (error) {
        await disk.close()
        throw error
      }
    }
    return opened
  } catch (error) {
    await settleAll(opened.map(({ disk }) => disk.close()))
    throw error
  }
}
