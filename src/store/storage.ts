// All storage repositories together: puts the parts of this folder together, and nothing else.

import type { Catalog } from '../catalog/catalog.ts'
import type { Contents } from './reading/contents.ts'
import { createContents } from './reading/contents.ts'
import { createLayerLocks } from './reading/layer-locks.ts'
import { createMapCache } from './reading/map-cache.ts'
import type { LayerSource } from './reading/open-chain.ts'
import { createPins } from './reading/pins.ts'
import type { Scanner } from './scanning/scan-folder.ts'
import { createScanner } from './scanning/scan-folder.ts'
import type { Stores } from './files/stores.ts'
import { createStores } from './files/stores.ts'
import type { Upkeep, UpkeepParts } from './upkeep/upkeep.ts'
import { createUpkeep } from './upkeep/upkeep.ts'

export interface Storage {
  /** Which storage repositories there are, and where their layers lie. */
  readonly stores: Stores

  /** What is known of files that others wrote. */
  readonly scanner: Scanner

  /** What VDIs show. */
  readonly contents: Contents

  /** Collecting, merging and recovery. */
  readonly upkeep: Upkeep
}

type StorageOptions = Pick<UpkeepParts, 'onError' | 'coalescing'> & {
  readonly catalog: Catalog
}

export const createStorage = ({ catalog, onError, coalescing }: StorageOptions): Storage => {
  const stores = createStores()
  const scanner = createScanner({ catalog, stores })
  const pins = createPins()
  const maps = createMapCache()
  const locks = createLayerLocks()
  const sourceOf = (srUuid: string): LayerSource => ({ store: stores.get(srUuid), maps, locks })
  return {
    stores,
    scanner,
    contents: createContents({ catalog, scanner, pins, sourceOf }),
    upkeep: createUpkeep({ catalog, stores, scanner, pins, sourceOf, onError, coalescing }),
  }
}
