// Opens the layers of a chain as one disk, with their maps from the cache.

import { collectBlockMap } from '../disk/block-map.ts'
import type { ChainLayer } from '../disk/chain-disk.ts'
import { createChainDisk } from '../disk/chain-disk.ts'
import type { PathLayer } from '../disk/delta-disk.ts'
import type { Disk } from '../disk/disk.ts'
import { settleAll } from '../disk/settle.ts'
import type { MapCache } from './map-cache.ts'
import type { LayerId, Store } from './store.ts'

/** What each layer of a chain holds, without the chain staying open. */
export const readPath = async (
  store: Store,
  maps: MapCache,
  chain: readonly LayerId[],
): Promise<PathLayer[]> => {
  const path: PathLayer[] = []
  for (const layer of chain) {
    const map = await maps.get(layer.uuid, async () => {
      const disk = await store.openLayer(layer)
      try {
        return await collectBlockMap(disk)
      } finally {
        await disk.close()
      }
    })
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
  store: Store,
  maps: MapCache,
  chain: readonly LayerId[],
  size: number,
): Promise<OpenedChain> => {
  const opened: (ChainLayer & PathLayer)[] = []
  try {
    for (const layer of chain) {
      const disk = await store.openLayer(layer)
      try {
        const map = await maps.get(layer.uuid, () => collectBlockMap(disk))
        opened.push({ uuid: layer.uuid, disk, map })
      } catch (error) {
        await disk.close()
        throw error
      }
    }
    return { disk: createChainDisk(opened, size), path: opened }
  } catch (error) {
    await settleAll(opened.map(({ disk }) => disk.close()))
    throw error
  }
}
