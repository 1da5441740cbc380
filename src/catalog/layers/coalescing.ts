// What coalescing asks of the catalog and tells it. A merged layer takes the place of the top one
// of its run: it keeps that layer's uuid, so no VDI and no child has to be told.

import { chooseRun, isMergeable } from './choose-run.ts'
import type { ChainLimits } from './choose-run.ts'
import type { Database } from '../database.ts'
import type { Queries } from '../transaction.ts'
import type { LayerRow } from './layer-row.ts'
import type { TaskOutcomes } from '../tasks/task-outcome.ts'
import { readTopLayers, touchVdisOn } from './top-layers.ts'

export interface Coalescing {
  /**
   * The layers to be merged next, top first; undefined where no chain can and must become shorter.
   * See chooseRun.
   */
  nextRun(srUuid: string, limits: ChainLimits): Promise<LayerRow[] | undefined>

  /** Whether these layers still are a run, and are still needed. */
  isRun(run: readonly LayerRow[]): Promise<boolean>

  /**
   * The top layer of the run, whose file holds by now what all of the run held, lies on what the
   * run lay on; nothing reaches the others any more. Nothing happens where they are no longer a
   * run. With it the task is a success, even if it was told to stop: the file is in place.
   * @returns whether it happened
   */
  rebase(rebase: Rebase): Promise<boolean>
}

export interface Rebase {
  /** Top first. */
  readonly run: readonly LayerRow[]
  /** Of the new file of the top one, in bytes. */
  readonly fileSize: number
  /** The task that this ends, and its result. */
  readonly task?: { readonly ref: string; readonly result: string } | undefined
}

export const createCoalescing = (database: Database, outcomes: TaskOutcomes): Coalescing => ({
  nextRun: (srUuid, limits) =>
    database.transaction(async ({ db }) => {
      const layers = await db
        .selectFrom('layers')
        .selectAll()
        .where('srUuid', '=', srUuid)
        .execute()
      return chooseRun(layers, await namedLayers(db, srUuid), limits)
    }),
  isRun: (run) => database.transaction(({ db }) => isRun(db, run)),
  rebase: ({ run, fileSize, task }) =>
    database.transaction(async (transaction) => {
      const { db } = transaction
      if (!(await isRun(db, run))) return false
      await db
        .updateTable('layers')
        .set({ parentUuid: run.at(-1)!.parentUuid, fileSize })
        .where('uuid', '=', run[0]!.uuid)
        .execute()
      await touchVdisOn(transaction, [run[0]!.uuid])
      if (task !== undefined) await outcomes.conclude(transaction, task.ref, task.result)
      return true
    }),
})

const namedLayers = async (db: Queries, srUuid: string): Promise<Set<string>> => {
  const tops = await readTopLayers(db, srUuid)
  return new Set(tops.map(({ layerUuid }) => layerUuid))
}

/**
 * Whether each layer still lies on the next one, something on the top one, and only the run on the
 * others.
 */
const isRun = async (db: Queries, run: readonly LayerRow[]): Promise<boolean> => {
  const named = await namedLayers(db, run[0]!.srUuid)
  for (const [index, { uuid, parentUuid }] of run.entries()) {
    const layer = await db
      .selectFrom('layers')
      .selectAll()
      .where('uuid', '=', uuid)
      .executeTakeFirst()
    if (layer === undefined || !isMergeable(layer) || layer.parentUuid !== parentUuid) return false
    const children = await db
      .selectFrom('layers')
      .select('uuid')
      .where('parentUuid', '=', uuid)
      .where('state', '!=', 'deleting')
      .execute()
    const isUsed = named.has(uuid) || children.length > 0
    const carriesOnlyTheRun = !named.has(uuid) && children.length === 1
    if (!(index === 0 ? isUsed : carriesOnlyTheRun)) return false
  }
  return true
}
