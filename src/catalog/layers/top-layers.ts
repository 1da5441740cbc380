// The layers that VDIs name: the tops of their chains. All that asks which layers are needed starts
// here.

import { among } from '../sqlite/among.ts'
import type { Queries, Transaction } from '../transaction.ts'
import type { VdiTable } from '../schema.ts'

type TopLayer = Pick<VdiTable, 'uuid' | 'type'> & { readonly layerUuid: string }

/**
 * Of the VDIs that have content.
 * @param srUuid the storage repository whose VDIs count; absent: all
 */
export const readTopLayers = async (db: Queries, srUuid?: string): Promise<TopLayer[]> => {
  const rows = await db
    .selectFrom('vdis')
    .select(['uuid', 'type', 'layerUuid'])
    .where('layerUuid', 'is not', null)
    .$if(srUuid !== undefined, (query) => query.where('srUuid', '=', srUuid!))
    .$narrowType<{ layerUuid: string }>()
    .execute()
  return rows
}

/** The utilisation of the VDIs whose top layer is one of `layerUuids` has changed. */
export const touchVdisOn = async (
  { db, touch }: Transaction,
  layerUuids: Iterable<string>,
): Promise<void> => {
  const vdis = await db
    .selectFrom('vdis')
    .select('uuid')
    .where('layerUuid', 'in', among(layerUuids))
    .execute()
  for (const { uuid } of vdis) touch('VDI', uuid)
}
