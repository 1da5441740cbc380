// Opens the layers of a chain as one disk, with their maps from the cache.

import type { BlockMap } from '../../disk/block-map.ts'
import { collectBlockMap } from '../../disk/block-map.ts'
import type { ChainDisk, LayerOnDemand } from '../../disk/chain-disk.ts'
import { createChainDisk, createChainOnDemand } from '../../disk/chain-disk.ts'
import { settleAll } from '../../disk/settle.ts'
import { contentKeyOf } from '../files/file-stamp.ts'
import type { LayerLocks } from './layer-locks.ts'
import type { MapCache } from './map-cache.ts'
import { openWithMap } from '../files/map-sidecar.ts'
import type { LayerDisk, LayerId, MappedLayer, Store } from '../files/store.ts'

/** Where layers are opened, and what keeps them and their maps in step. */
export interface LayerSource {
  readonly store: Store
  readonly maps: MapCache
  readonly locks: LayerLocks
}

/** Owns the layers and closes them. */
export interface OpenedChain extends ChainDisk {
  /**
   * Says whether what was read so far is the content, before it is believed.
   * @throws ChangedFileError where a file was changed by others since it was opened
   */
  verify(): Promise<void>
}

/** What each of the layers holds, without any of them staying open. */
export const readMaps = async (
  { store, maps, locks }: LayerSource,
  layers: readonly MappedLayer[],
): Promise<BlockMap[]> => {
  const read: BlockMap[] = []
  for (const layer of layers) {
    const map = await locks.opening(layer.uuid, () =>
      maps.get(contentKeyOf(layer), () => store.readMap(layer)),
    )
    read.push(map)
  }
  return read
}

/**
 * @param chain top first
 * @param size virtual size of the disk that is seen through it
 */
export const openChain = (
  source: LayerSource,
  chain: readonly LayerId[],
  size: number,
): Promise<OpenedChain> =>
  openLayers(
    source,
    chain,
    async (disk, layer) => ({
      disk,
      map: await source.maps.get(contentKeyOf(layer), async () => {
        const map = await collectBlockMap(disk)
        // A map that was read while the file changed is not valid.
        await disk.verify?.()
        return map
      }),
    }),
    (layers) => createChainDisk(layers, size),
  )

/**
 * The same without collecting maps that are not known yet: for readers that need little of it.
 */
export const openChainOnDemand = (
  source: LayerSource,
  chain: readonly LayerId[],
  size: number,
): Promise<OpenedChain> =>
  openLayers(
    source,
    chain,
    async (disk, layer) => {
      const map = source.maps.peek(contentKeyOf(layer))
      return { disk: map === undefined ? disk : openWithMap(disk, map) }
    },
    (layers) => createChainOnDemand(layers, size),
  )

/** Opens all, or on a throw none. */
const openLayers = async <T extends LayerOnDemand>(
  { store, locks }: LayerSource,
  chain: readonly LayerId[],
  finish: (disk: LayerDisk, layer: LayerId) => Promise<T>,
  join: (layers: readonly T[]) => ChainDisk,
): Promise<OpenedChain> => {
  const disks: LayerDisk[] = []
  const layers: T[] = []
  try {
    for (const layer of chain) {
      await locks.opening(layer.uuid, async () => {
        const disk = await store.openLayer(layer)
        disks.push(disk)
        layers.push(await finish(disk, layer))
      })
    }
    return {
      ...join(layers),
      async verify() {
        for (const disk of disks) await disk.verify?.()
      },
    }
  } catch (error) {
    await settleAll(disks.map((disk) => disk.close()))
    throw error
  }
}
