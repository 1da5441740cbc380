// The store of a storage repository by its row: a folder of its own below the data folder, or one that
// was there before, which may be read-only, and may be away for a while.

import { access, constants, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { SrRow } from '../catalog/srs.ts'
import { isNodeError } from '../errors.ts'
import { fileFolder, openFileFolder, STAGING } from './file-folder.ts'
import type { LayerFolder } from './layer-folder.ts'
import { createLayerStore } from './layer-store.ts'
import { noPbd, notAttached, readOnlyError, unplugged } from './sr-errors.ts'
import type { Store } from './store.ts'

type SrPlace = Pick<SrRow, 'uuid' | 'path' | 'readOnly'>

/** Whether it is to be attached at all. */
type SrPlugging = Partial<Pick<SrRow, 'hasPbd' | 'isPlugged'>>

export interface SrStore {
  readonly store: Store
  /** Why the folder cannot be used; undefined: it can. */
  readonly reason?: string
}

/**
 * Opens what was made by `makeSrStore`, at a start or a scan. A folder that was there before is never made: where
 * its file system is not mounted, nothing may be written into what lies below the mount point.
 */
export const openSrStore = async (
  sr: SrPlace & SrPlugging,
  dataFolder: string,
): Promise<SrStore> => {
  const why = sr.hasPbd === false ? noPbd : sr.isPlugged === false ? unplugged : undefined
  if (why !== undefined) return { store: createDetachedStore(sr, why), reason: why }
  if (sr.path === '') return { store: await makeSrStore(sr, dataFolder) }
  const reason = await whyAway(sr)
  return reason === undefined
    ? { store: createLayerStore(folderOf(sr)) }
    : { store: createDetachedStore(sr, reason), reason }
}

/** Opens the folder of a new storage repository; makes what it needs, in a read-only one nothing. */
export const makeSrStore = async (sr: SrPlace, dataFolder: string): Promise<Store> => {
  const path = sr.path === '' ? join(dataFolder, 'sr', sr.uuid) : sr.path
  return createLayerStore(sr.readOnly ? folderOf(sr) : await openFileFolder(path))
}

const folderOf = (sr: SrPlace): LayerFolder =>
  sr.readOnly ? readOnlyFolder(fileFolder(sr.path), sr) : fileFolder(sr.path)

/** The staging folder, made with the storage repository, tells the folder from a bare mount point. */
const whyAway = async ({ path, readOnly }: SrPlace): Promise<string | undefined> => {
  try {
    if (!(await stat(path)).isDirectory()) return `${path} is no folder`
    await access(path, constants.R_OK | constants.X_OK)
  } catch (error) {
    return `the folder ${path} cannot be read: ${codeOf(error)}`
  }
  if (readOnly || (await readdir(path)).includes(STAGING)) return undefined
  return `the folder ${path} has no ${STAGING} in it: its file system is not mounted`
}

const codeOf = (error: unknown): string =>
  isNodeError(error) ? `${error.code}` : error instanceof Error ? error.message : String(error)

/** `folder`, in which nothing is ever made, changed or removed. */
export const readOnlyFolder = (folder: LayerFolder, sr: Pick<SrRow, 'uuid'>): LayerFolder => {
  const refuse = async (): Promise<never> => {
    throw readOnlyError(sr.uuid)
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
    throw notAttached(uuid, reason)
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
    usage: async () => ({ size: 0, used: 0 }),
    files: { list: refuse, state: refuse, open: refuse },
  }
}
