// Opens the layers of a chain as one disk, with their maps from the cache.

import type { BlockMap } from '../disk/block-map.ts'
import { collectBlockMap } from '../disk/block-map.ts'
import type { ChainLayer } from '../disk/chain-disk.ts'
import { createChainDisk } from '../disk/chain-disk.ts'
import type { PathLayer } from '../disk/delta-disk.ts'
import type { Disk } from '../disk/disk.ts'
import { settleAll } from '../disk/settle.ts'
import { contentKeyOf } from './file-stamp.ts'
import type { MapCache } from './map-cache.ts'
import type { LayerDisk, LayerId, Store } from './store.ts'

/** What each layer of a chain holds, without the chain staying open. */
export const readPath = async (
  store: Store,
  maps: MapCache,
  chain: readonly LayerId[],
): Promise<PathLayer[]> => {
  const path: PathLayer[] = []
  for (const layer of chain) {
    const key = contentKeyOf(layer)
    const map = await maps.get(key, async () => {
      const disk = await store.openLayer(layer)
      try {
        return await readMap(disk)
      } finally {
        await disk.close()
      }
    })
    path.push({ uuid: key, map })
  }
  return path
}

/** A map that was read while the file changed is none. */
const readMap = async (disk: LayerDisk): Promise<BlockMap> => {
  const map = await collectBlockMap(disk)
  await disk.verify?.()
  return map
}

export interface OpenedChain {
  /** Owns the layers and closes them. */
  readonly disk: Disk
  /** What each layer holds, top first. */
  readonly path: readonly PathLayer[]
  /**
   * Says whether what was read so far is the content, before it is believed.
   * @throws ChangedFileError where a file was changed by others since it was opened
   */
  readonly verify: () => Promise<void>
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
  const opened: (ChainLayer & PathLayer & { readonly disk: LayerDisk })[] = []
  try {
    for (const layer of chain) {
      const disk = await store.openLayer(layer)
      try {
        const key = contentKeyOf(layer)
        opened.push({ uuid: key, disk, map: await maps.get(key, () => readMap(disk)) })
      } catch (error) {
        await disk.close()
        throw error
      }
    }
    return {
      disk: createChainDisk(opened, size),
      path: opened,
      async verify() {
        for (const { disk } of opened) await disk.verify?.()
      },
    }
  } catch (error) {
    await settleAll(opened.map(({ disk }) => disk.close()))
    throw error
  }
}
