// What a scan of a folder found, brought into the catalog in one transaction: files that others
// wrote become layers and VDIs, those that they changed get new content, those that are gone are
// missed. What diskport wrote itself is never touched here, and no file is.

import { randomUUID } from 'node:crypto'
import { removeLayerRows } from './claim-unreachable.ts'
import type { Database } from '../database.ts'
import type { Queries, Statements, Transaction } from '../transaction.ts'
import { layerFileName } from './layer-file-name.ts'
import type { LayerRow } from './layer-row.ts'
import type { FormatName } from '../../format-table.ts'
import { createLayerTree } from './layer-tree.ts'
import type { NewVdi } from '../vdis.ts'
import { insertVdi } from '../vdis.ts'

/** An image file that can be read, with all below it. */
export interface ScannedFile {
  readonly fileName: string
  /** In its name. */
  readonly uuid: string
  readonly format: FormatName
  /** In bytes. */
  readonly virtualSize: number
  readonly fileSize: number
  readonly changedAt: Date
  /** How it looked. */
  readonly stamp: string
  /** The file below; null for a whole one. */
  readonly parentName: string | null
}

export interface FolderContents {
  readonly srUuid: string
  /** By file name; no cycles, and each parent is there too. */
  readonly files: ReadonlyMap<string, ScannedFile>
  /** The names of all files in the folder. */
  readonly present: ReadonlySet<string>
  /** Those that become VDIs, by file name, with what is known of the VDI. */
  readonly vdis: ReadonlyMap<string, ScannedVdi>
}

interface ScannedVdi extends Partial<NewVdi> {
  readonly uuid: string
}

interface AppliedScan {
  /** Uuids of VDIs. */
  readonly added: readonly string[]
  /** Uuids of VDIs whose content, size or presence is another. */
  readonly changed: readonly string[]
  /** Files that could not become VDIs, and why. */
  readonly refused: ReadonlyMap<string, string>
}

export interface ScannedFiles {
  apply(contents: FolderContents): Promise<AppliedScan>
}

export const createScannedFiles = (database: Database, now: () => Date): ScannedFiles => ({
  apply: (contents) =>
    database.transaction((transaction) => applyContents(transaction, contents, now)),
})

const applyContents = async (
  transaction: Transaction,
  contents: FolderContents,
  now: () => Date,
): Promise<AppliedScan> => {
  const { db } = transaction
  const { srUuid } = contents
  const before = await readSr(db, srUuid)
  const needed = reachable(before)
  const ensureLayer = createLayerMaker(db, contents, before.layers, now)
  const renewed = await renewLayers(db, contents, before.layers, ensureLayer)
  const refused = new Map<string, string>()
  const added: string[] = []
  for (const [fileName, vdi] of contents.vdis) {
    const reason = await refusal(db, contents, before, fileName, vdi.uuid)
    if (reason !== undefined) {
      refused.set(fileName, reason)
      continue
    }
    const file = contents.files.get(fileName)!
    const layerUuid = await ensureLayer(fileName)
    const row = await insertVdi(
      transaction,
      {
        srUuid,
        virtualSize: file.virtualSize,
        format: file.format,
        contentUuid: randomUUID(),
        contentAt: earlier(file.changedAt, now()),
        ...vdi,
        layerUuid,
      },
      now,
    )
    added.push(row.uuid)
  }
  const changed = await updateVdis(transaction, contents, renewed, now)
  await forgetUnneeded(db, srUuid, needed)
  transaction.touch('SR', srUuid)
  return { added, changed: changed.filter((uuid) => !added.includes(uuid)), refused }
}

type SrContents = Awaited<ReturnType<typeof readSr>>

const readSr = async (db: Queries, srUuid: string) => ({
  layers: await db.selectFrom('layers').selectAll().where('srUuid', '=', srUuid).execute(),
  vdis: await db.selectFrom('vdis').selectAll().where('srUuid', '=', srUuid).execute(),
})

/**
 * The layers that VDIs and layers of ours lie on; those that nobody needs are not forgotten here
 * but collected.
 */
const reachable = ({ layers, vdis }: SrContents): Set<string> => {
  const roots = [
    ...vdis.map((vdi) => vdi.layerUuid).filter((uuid) => uuid !== null),
    ...layers.filter((layer) => layer.fileStamp === null).map((layer) => layer.uuid),
  ]
  return createLayerTree(layers).neededBy(roots)
}

type LayerMaker = (fileName: string) => Promise<string>

/** Gives the layer of a file, with all below it; makes what is not there. */
const createLayerMaker = (
  db: Statements,
  { srUuid, files }: FolderContents,
  layers: readonly LayerRow[],
  now: () => Date,
): LayerMaker => {
  const uuids = new Map(layers.map((layer) => [layerFileName(layer), layer.uuid]))
  const ensure: LayerMaker = async (fileName) => {
    const known = uuids.get(fileName)
    if (known !== undefined) {
      await db.updateTable('layers').set({ destroyed: false }).where('uuid', '=', known).execute()
      return known
    }
    const file = files.get(fileName)!
    const parentUuid = file.parentName === null ? null : await ensure(file.parentName)
    const uuid = (await isLayer(db, file.uuid)) ? randomUUID() : file.uuid
    await db
      .insertInto('layers')
      .values({
        uuid,
        srUuid,
        parentUuid,
        format: file.format,
        state: 'sealed',
        virtualSize: file.virtualSize,
        fileSize: file.fileSize,
        hasData: true,
        fileName,
        fileStamp: file.stamp,
        destroyed: false,
        createdAt: earlier(file.changedAt, now()),
      })
      .execute()
    uuids.set(fileName, uuid)
    return uuid
  }
  return ensure
}

/** Another storage repository may hold a copy of the same folder. */
const isLayer = async (db: Queries, uuid: string): Promise<boolean> =>
  (await db.selectFrom('layers').select('uuid').where('uuid', '=', uuid).executeTakeFirst()) !==
  undefined

/** Files that look other than when they were found. @returns their layers as they were, by uuid */
const renewLayers = async (
  db: Statements,
  { files }: FolderContents,
  layers: readonly LayerRow[],
  ensureLayer: LayerMaker,
): Promise<Map<string, LayerRow>> => {
  const renewed = new Map<string, LayerRow>()
  for (const layer of layers) {
    const file = layer.fileStamp === null ? undefined : files.get(layerFileName(layer))
    if (file === undefined || layer.state !== 'sealed' || layer.fileStamp === file.stamp) continue
    const parentUuid = file.parentName === null ? null : await ensureLayer(file.parentName)
    const { stamp: fileStamp, virtualSize, fileSize } = file
    await db
      .updateTable('layers')
      .set({ parentUuid, fileStamp, virtualSize, fileSize, destroyed: false })
      .where('uuid', '=', layer.uuid)
      .execute()
    renewed.set(layer.uuid, layer)
  }
  return renewed
}

/** Why a file cannot become the VDI; undefined: it can. */
const refusal = async (
  db: Queries,
  { srUuid, files }: FolderContents,
  { layers, vdis }: SrContents,
  fileName: string,
  uuid: string,
): Promise<string | undefined> => {
  const layer = layers.find((known) => layerFileName(known) === fileName)
  if (layer?.fileStamp === null) return 'diskport wrote it, for a VDI that is there'
  const shown = layer && vdis.find((vdi) => vdi.layerUuid === layer.uuid)
  if (shown !== undefined) return `it is the content of the VDI ${shown.uuid} already`
  if (!files.has(fileName)) return 'there is no such image'
  const other = await db
    .selectFrom('vdis')
    .select('srUuid')
    .where('uuid', '=', uuid)
    .executeTakeFirst()
  if (other?.srUuid === srUuid) return `the VDI ${uuid} was written anew and no longer needs it`
  return other && `the storage repository ${other.srUuid} has a VDI of the uuid ${uuid}`
}

/**
 * New content for those that lie on what was renewed, and who misses a file. @returns their uuids
 */
const updateVdis = async (
  transaction: Transaction,
  contents: FolderContents,
  renewed: ReadonlyMap<string, LayerRow>,
  now: () => Date,
): Promise<string[]> => {
  const { layers, vdis } = await readSr(transaction.db, contents.srUuid)
  const tree = createLayerTree(layers)
  const isThere = (layer: LayerRow): boolean => {
    const name = layerFileName(layer)
    if (layer.state !== 'sealed' || !layer.hasData) return true
    return layer.fileStamp === null ? contents.present.has(name) : contents.files.has(name)
  }
  // VDIs that share their content go on sharing it.
  const contentUuids = new Map<string | null, string>()
  const changed: string[] = []
  for (const vdi of vdis) {
    const chain = vdi.layerUuid === null ? [] : Array.from(tree.downFrom(vdi.layerUuid))
    const missing = !chain.every(isThere)
    const isRenewed = chain.some((layer) => renewed.has(layer.uuid))
    if (!isRenewed && missing === vdi.missing) continue
    const contentUuid = contentUuids.get(vdi.contentUuid) ?? randomUUID()
    contentUuids.set(vdi.contentUuid, contentUuid)
    const [top] = chain
    const topBefore = top && renewed.get(top.uuid)
    const isResized = topBefore !== undefined && topBefore.virtualSize !== top?.virtualSize
    await transaction.update('vdis', vdi.uuid, {
      missing,
      ...(isRenewed && { contentUuid, contentAt: now(), changedAt: now() }),
      ...(isResized && { virtualSize: top!.virtualSize }),
    })
    changed.push(vdi.uuid)
  }
  return changed
}

/**
 * Files of others that were needed before, and are no longer: they are left to those who wrote
 * them.
 */
const forgetUnneeded = async (
  db: Statements,
  srUuid: string,
  neededBefore: ReadonlySet<string>,
): Promise<void> => {
  const sr = await readSr(db, srUuid)
  const needed = reachable(sr)
  const unneeded = sr.layers.filter(
    ({ uuid, fileStamp }) => fileStamp !== null && neededBefore.has(uuid) && !needed.has(uuid),
  )
  await removeLayerRows(
    db,
    unneeded.map(({ uuid }) => uuid),
  )
}

const earlier = (a: Date, b: Date): Date => (a < b ? a : b)
