// The store of a storage repository by its row: a folder of its own below the data folder, or one
// that was there before, which may be read-only, and may be away for a while.

import { access, constants, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { SrRow } from '../../catalog/srs.ts'
import { isNodeError } from '../../errors.ts'
import { fileFolder, openFileFolder } from './file-folder.ts'
import type { LayerFolder } from './layer-folder.ts'
import { createLayerStore } from './layer-store.ts'
import { noPbd, srNotAttached, srReadOnly, unplugged } from '../../object-errors.ts'
import { adoptStaging, ensureStaging, findStaging } from './staging-folder.ts'
import type { LayerId, Store } from './store.ts'
import { layerFileName } from './store.ts'

type SrPlace = Pick<SrRow, 'uuid' | 'path' | 'readOnly'>

/** Whether it is to be attached at all. */
type SrPlugging = Partial<Pick<SrRow, 'hasPbd' | 'isPlugged'>>

export interface SrStore {
  readonly store: Store
  /** Why the folder cannot be used; undefined: it can. */
  readonly reason?: string
}

/**
 * Opens what was made by `makeSrStore`, at a start or a scan. A folder that was there before is
 * never made: where its file system is not mounted, nothing may be written into what lies below the
 * mount point.
 * @param layers those that the catalog has there, half-written ones included
 */
export const openSrStore = async (
  sr: SrPlace & SrPlugging,
  dataFolder: string,
  layers: readonly LayerId[] = [],
): Promise<SrStore> => {
  const why = sr.hasPbd === false ? noPbd : sr.isPlugged === false ? unplugged : undefined
  if (why !== undefined) return { store: createDetachedStore(sr, why), reason: why }
  if (sr.path === '') return { store: await makeSrStore(sr, dataFolder) }
  const opened = await openFolder(sr, layers)
  return typeof opened === 'string'
    ? { store: createDetachedStore(sr, opened), reason: opened }
    : { store: createLayerStore(opened) }
}

/**
 * Opens the folder of a storage repository that is new there; makes what it needs, in a read-only
 * one nothing.
 */
export const makeSrStore = async (sr: SrPlace, dataFolder: string): Promise<Store> => {
  if (sr.path === '') return createLayerStore(await openFileFolder(join(dataFolder, 'sr', sr.uuid)))
  const folder = sr.readOnly
    ? readOnlyFolder(fileFolder(sr.path), sr)
    : fileFolder(sr.path, await ensureStaging(sr.path, sr.uuid))
  return createLayerStore(folder)
}

/** The folder, or why it cannot be used. */
const openFolder = async (
  sr: SrPlace,
  layers: readonly LayerId[],
): Promise<LayerFolder | string> => {
  const { path, readOnly } = sr
  try {
    if (!(await stat(path)).isDirectory()) return `${path} is no folder`
    await access(path, constants.R_OK | constants.X_OK)
    if (readOnly) return readOnlyFolder(fileFolder(path), sr)
    const staging = (await findStaging(path, sr.uuid)) ?? (await adopt(sr, layers))
    return staging === undefined
      ? `the folder ${path} has no staging folder of this storage repository in it: its file system is not mounted`
      : fileFolder(path, staging)
  } catch (error) {
    return `the folder ${path} cannot be read: ${codeOf(error)}`
  }
}

/**
 * The staging folder tells the folder from a bare mount point. One from before there were marks is
 * taken where also something else is known.
 */
const adopt = async (
  { uuid, path }: SrPlace,
  layers: readonly LayerId[],
): Promise<string | undefined> => {
  const present = new Set(await readdir(path))
  const isMeant = layers.length === 0 || layers.some((layer) => present.has(layerFileName(layer)))
  const own = layers.filter(({ fileStamp }) => (fileStamp ?? null) === null).map(layerFileName)
  return isMeant ? adoptStaging(path, uuid, new Set(own)) : undefined
}

const codeOf = (error: unknown): string =>
  isNodeError(error) ? `${error.code}` : error instanceof Error ? error.message : String(error)

/** `folder`, in which nothing is ever made, changed or removed. */
const readOnlyFolder = (folder: LayerFolder, sr: Pick<SrRow, 'uuid'>): LayerFolder => {
  const refuse = async (): Promise<never> => {
    throw srReadOnly(sr.uuid)
  }
  return {
    ...folder,
    create: refuse,
    publish: refuse,
    touch: refuse,
    openSpool: refuse,
    discard: refuse,
    listStaging: async () => [],
    async remove(name) {
      if ((await folder.state(name)) !== undefined) await refuse()
    },
  }
}

const createDetachedStore = ({ uuid }: SrPlace, reason: string): Store => {
  const refuse = async (): Promise<never> => {
    throw srNotAttached(uuid, reason)
  }
  return {
    whyDetached: reason,
    createLayer: refuse,
    replaceLayer: refuse,
    openLayer: refuse,
    readMap: refuse,
    keepMap: refuse,
    removeData: refuse,
    removeLayer: refuse,
    clearStaging: refuse,
    openSpool: refuse,
    space: async () => ({ size: 0, used: 0 }),
    files: { list: refuse, state: refuse, open: refuse },
  }
}
