// Deletes what nothing needs any more: the layers that nobody reaches, and the data of those of
// which only the map is asked for. First the catalog says so, then the files go; recovery repeats
// the rest.

import type { LimitFunction } from 'p-limit'
import pLimit from 'p-limit'
import type { Catalog } from '../../catalog/catalog.ts'
import type { LayerRow } from '../../catalog/layers/layer-row.ts'
import type { LayerSource } from '../reading/open-chain.ts'
import { readMaps } from '../reading/open-chain.ts'
import type { Pins } from '../reading/pins.ts'
import type { Store } from '../files/store.ts'

interface CollectorPorts {
  readonly catalog: Catalog
  readonly pins: Pins
  /** Undefined for a storage repository whose folder is not there now. */
  readonly sourceOf: (srUuid: string) => LayerSource | undefined
  /** Layers below files that the catalog does not know: they stay. */
  readonly neededByOthers: (srUuid: string) => Promise<string[]>
}

interface Collector {
  /**
   * @returns how many layers went; undefined where nothing may be written: that storage repository
   *   is left alone
   */
  collect(srUuid: string): Promise<number | undefined>
  /**
   * To be called before anything is written there: completes what a crash interrupted. Returns the
   * number of layers that were deleted.
   */
  recover(srUuid: string, store: Store): Promise<number>
}

export const createCollector = ({
  catalog,
  pins,
  sourceOf,
  neededByOthers,
}: CollectorPorts): Collector => {
  // Two at once would keep the map of a layer that the other deletes.
  const turns = new Map<string, LimitFunction>()
  const turnOf = (srUuid: string): LimitFunction => {
    const turn = turns.get(srUuid) ?? pLimit(1)
    turns.set(srUuid, turn)
    return turn
  }

  const removeLayer = async (store: Store, layer: LayerRow): Promise<void> => {
    await store.removeLayer(layer)
    await catalog.layers.remove(layer.uuid)
  }

  const dropData = async (
    srUuid: string,
    source: LayerSource,
    held: () => ReadonlySet<string>,
  ): Promise<void> => {
    const { keptMaps } = catalog
    const superfluous = await pins.step(() => keptMaps.superfluousData(srUuid, held()))
    if (superfluous.length === 0) return
    // The map first, durably; then the word of the catalog; the data last.
    for (const layer of superfluous) {
      const [map] = await readMaps(source, [layer])
      await source.store.keepMap(layer, map!)
    }
    const uuids = new Set(superfluous.map(({ uuid }) => uuid))
    const dropped = await pins.step(() => keptMaps.dropData(srUuid, held(), uuids))
    for (const layer of dropped) await source.store.removeData(layer)
  }

  const collect = async (srUuid: string): Promise<number | undefined> => {
    const from = sourceOf(srUuid)
    const sr = await catalog.srs.get(srUuid)
    if (from === undefined || sr === undefined) return undefined
    const others = sr.readOnly ? [] : await neededByOthers(srUuid)
    const held = (): ReadonlySet<string> => new Set([...pins.held(), ...others])
    const unreachable = await pins.step(() => catalog.layers.claimUnreachable(srUuid, held()))
    // Files of others are all that a read-only one has: what nobody needs of them has been
    // forgotten.
    if (sr.readOnly) return undefined
    for (const layer of unreachable) await removeLayer(from.store, layer)
    await dropData(srUuid, from, held)
    return unreachable.length
  }

  return {
    collect: (srUuid) => turnOf(srUuid)(() => collect(srUuid)),
    async recover(srUuid, store) {
      const sr = await catalog.srs.get(srUuid)
      if (sr === undefined || sr.readOnly) return 0
      await store.clearStaging()
      const isThere = (layer: LayerRow): boolean => layer.srUuid === srUuid
      const unfinished = (await catalog.layers.unfinished()).filter(isThere)
      for (const layer of unfinished) await removeLayer(store, layer)
      for (const layer of (await catalog.keptMaps.list()).filter(isThere)) {
        await store.removeData(layer)
      }
      return unfinished.length
    },
  }
}
