// Opens the layers of a chain as one disk, with their maps from the cache.

import type { BlockMap } from '../disk/block-map.ts'
import { collectBlockMap } from '../disk/block-map.ts'
import type { ChainDisk, LayerOnDemand } from '../disk/chain-disk.ts'
import { createChainDisk, createChainOnDemand } from '../disk/chain-disk.ts'
import type { Disk } from '../disk/disk.ts'
import { settleAll } from '../disk/settle.ts'
import type { LayerLocks } from './layer-locks.ts'
import type { MapCache } from './map-cache.ts'
import { openWithMap } from './map-sidecar.ts'
import type { LayerId, MappedLayer, Store } from './store.ts'

/** Where layers are opened, and what keeps them and their maps in step. */
export interface LayerSource {
  readonly store: Store
  readonly maps: MapCache
  readonly locks: LayerLocks
}

/** What each of the layers holds, without any of them staying open. */
export const readMaps = async (
  { store, maps, locks }: LayerSource,
  layers: readonly MappedLayer[],
): Promise<BlockMap[]> => {
  const read: BlockMap[] = []
  for (const layer of layers) {
    read.push(
      await locks.opening(layer.uuid, () => maps.get(layer.uuid, () => store.readMap(layer))),
    )
  }
  return read
}

/**
 * The disk owns the layers and closes them.
 * @param chain top first
 * @param size virtual size of the disk that is seen through it
 */
export const openChain = async (
  source: LayerSource,
  chain: readonly LayerId[],
  size: number,
): Promise<ChainDisk> => {
  const { maps } = source
  const layers = await openLayers(source, chain, async (disk, { uuid }) => ({
    disk,
    map: await maps.get(uuid, () => collectBlockMap(disk)),
  }))
  return createChainDisk(layers, size)
}

/** The same, without collecting a map that is not known yet: for whoever needs little of the chain. */
export const openChainOnDemand = async (
  source: LayerSource,
  chain: readonly LayerId[],
  size: number,
): Promise<ChainDisk> => {
  const layers = await openLayers(source, chain, async (disk, { uuid }) => {
    const map = source.maps.peek(uuid)
    return { disk: map === undefined ? disk : openWithMap(disk, map) }
  })
  return createChainOnDemand(layers, size)
}

/** Opens all, or on a throw none. */
const openLayers = async <T extends LayerOnDemand>(
  { store, locks }: LayerSource,
  chain: readonly LayerId[],
  finish: (disk: Disk, layer: LayerId) => Promise<T>,
): Promise<T[]> => {
  const open = (layer: LayerId): Promise<T> =>
    locks.opening(layer.uuid, async () => {
      const disk = await store.openLayer(layer)
      try {
        return await finish(disk, layer)
      } catch (error) {
        await disk.close()
        throw error
      }
    })
  const opened: T[] = []
  try {
    for (const layer of chain) opened.push(await open(layer))
    return opened
  } catch (error) {
    await settleAll(opened.map(({ disk }) => disk.close()))
    throw error
  }
}
