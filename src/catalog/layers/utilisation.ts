// What VDIs and storage repositories take: of shared layers it matters who else needs them. Told by
// the sizes of layers when they were sealed; nothing is measured here.

import type { Database } from '../database.ts'
import type { Queries } from '../transaction.ts'
import { createLayerTree } from './layer-tree.ts'
import { readTopLayers } from './top-layers.ts'
import type { LayerRow } from './layer-row.ts'
import { readChain } from './layers.ts'
import type { VdiRow } from '../vdis.ts'

export interface Utilisation {
  /**
   * Bytes of the layers that only this VDI needs: what destroying it would free. What it shares
   * with snapshots and clones counts for none of them.
   */
  ofVdi(vdi: VdiRow): Promise<number>

  /** The same of all VDIs, by uuid; those without content are missing. */
  ofVdis(): Promise<ReadonlyMap<string, number>>

  ofSr(srUuid: string): Promise<SrUtilisation>
}

/** In bytes. */
interface SrUtilisation {
  /** Of all layers. */
  readonly physicalUtilisation: number
  /** The virtual sizes of all VDIs, snapshots included. */
  readonly virtualAllocation: number
}

export const createUtilisation = ({ db }: Database): Utilisation => ({
  async ofVdi({ layerUuid }) {
    if (layerUuid === null) return 0
    const chain = await readChain(db, layerUuid)
    const uuids = chain.map(({ uuid }) => uuid)
    return ownBytes(chain, await readNeeds(db, uuids))
  },
  async ofVdis() {
    const layers = await db.selectFrom('layers').selectAll().execute()
    const tree = createLayerTree(layers)
    const needs = await readNeeds(db)
    const tops = await readTopLayers(db)
    return new Map(
      tops.map(({ uuid, layerUuid }) => [uuid, ownBytes(tree.downFrom(layerUuid), needs)]),
    )
  },
  async ofSr(srUuid) {
    const layers = await db
      .selectFrom('layers')
      .select((eb) => eb.fn.coalesce(eb.fn.sum<number>('fileSize'), eb.lit(0)).as('bytes'))
      .where('srUuid', '=', srUuid)
      .executeTakeFirstOrThrow()
    const vdis = await db
      .selectFrom('vdis')
      .select((eb) => eb.fn.coalesce(eb.fn.sum<number>('virtualSize'), eb.lit(0)).as('bytes'))
      .where('srUuid', '=', srUuid)
      .where('incomingMoveUuid', 'is', null)
      .executeTakeFirstOrThrow()
    return {
      physicalUtilisation: layers.bytes,
      virtualAllocation: vdis.bytes,
    }
  },
})

/** How many VDIs and sealed layers lie directly on a layer, by its uuid. */
interface Needs {
  readonly vdis: ReadonlyMap<string, number>
  readonly layers: ReadonlyMap<string, number>
}

/** @param uuids the layers to look at; without them all */
const readNeeds = async (db: Queries, uuids?: readonly string[]): Promise<Needs> => {
  const vdis = await db
    .selectFrom('vdis')
    .select((eb) => ['layerUuid as uuid', eb.fn.countAll<number>().as('count')])
    .where('layerUuid', 'is not', null)
    .$if(uuids !== undefined, (query) => query.where('layerUuid', 'in', uuids!))
    .groupBy('layerUuid')
    .execute()
  const layers = await db
    .selectFrom('layers')
    .select((eb) => ['parentUuid as uuid', eb.fn.countAll<number>().as('count')])
    .where('parentUuid', 'is not', null)
    .where('state', '=', 'sealed')
    .$if(uuids !== undefined, (query) => query.where('parentUuid', 'in', uuids!))
    .groupBy('parentUuid')
    .execute()
  return { vdis: countsOf(vdis), layers: countsOf(layers) }
}

const countsOf = (rows: readonly { uuid: string | null; count: number }[]): Map<string, number> =>
  new Map(rows.flatMap(({ uuid, count }) => (uuid === null ? [] : [[uuid, count] as const])))

/**
 * Ends at the first layer that something else lies on, so over all VDIs each layer is counted once.
 * @param chain top first
 */
const ownBytes = (chain: Iterable<LayerRow>, { vdis, layers }: Needs): number => {
  let bytes = 0
  for (const { uuid, fileSize } of chain) {
    // One is the VDI itself on its top layer, and on the others the layer above.
    if ((vdis.get(uuid) ?? 0) + (layers.get(uuid) ?? 0) > 1) break
    bytes += fileSize
  }
  return bytes
}
