// PBDs: a storage repository is introduced, told where it lies, attached and detached, as an administrator does
// who moves a folder or takes it away for a while. Called by storage-repositories.ts; removes no file.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { LimitFunction } from 'p-limit'
import { layerFileName } from '../catalog/layers/layer-file-name.ts'
import { refToUuid, toRef } from '../catalog/refs.ts'
import type { StringMap } from '../catalog/schema.ts'
import type { SrRow } from '../catalog/srs.ts'
import { AppError, isNodeError } from '../errors.ts'
import type { FormatName } from '../formats/format.ts'
import type { FolderRequest } from '../store/files/check-folder.ts'
import { requireFreeFolder } from '../store/files/check-folder.ts'
import type { SrStore } from '../store/files/sr-store.ts'
import { makeSrStore } from '../store/files/sr-store.ts'
import { notAttached } from '../store/files/sr-errors.ts'
import type { TransferContext } from '../transfer/context.ts'

export interface IntroducedSr {
  readonly uuid: string
  readonly nameLabel: string
  readonly nameDescription: string
  readonly type: string
  readonly contentType: string
  readonly shared: boolean
  readonly smConfig: StringMap
}

/** A folder that holds, or once held, a storage repository. */
export interface FoundSr {
  readonly uuid: string
  readonly location: string
}

export type NewPbd = Omit<AskedPlace, 'type'> & { readonly otherConfig: StringMap }

export interface Plugging {
  /**
   * Makes the record of a storage repository that lies somewhere already. Nothing can be read there before it has a
   * PBD that is plugged.
   * @throws AppError SR_UNKNOWN_DRIVER; SR_UUID_EXISTS
   */
  introduce(sr: IntroducedSr): Promise<void>

  /**
   * Says where the storage repository lies.
   * @throws AppError PBD_EXISTS where that was said already; as `create` for the folder; VALUE_NOT_SUPPORTED for a
   *   folder that has none of the files which the storage repository is known to have
   */
  createPbd(sr: SrRow, pbd: NewPbd): Promise<void>

  /** Forgets what `createPbd` said. @throws AppError OPERATION_NOT_ALLOWED while it is plugged */
  destroyPbd(sr: SrRow): Promise<void>

  /**
   * Attaches it and scans it. Harmless for one that is attached.
   * @throws AppError SR_NOT_ATTACHED with the reason; it stays unplugged then
   */
  plug(sr: SrRow): Promise<void>

  /**
   * Detaches it, also over a restart: its VDIs cannot be read until it is plugged again.
   * @throws AppError OTHER_OPERATION_IN_PROGRESS while one is read or written
   */
  unplug(sr: SrRow): Promise<void>

  /** The storage repositories in and right below a folder, by what the catalog knows and by their names. @throws AppError */
  probe(asked: AskedPlace): Promise<readonly FoundSr[]>
}

/** Where somebody wants a storage repository. */
export interface AskedPlace {
  readonly type: string
  /** `location`, `read-only`, `preferred-image-formats`; other keys are kept and mean nothing. */
  readonly deviceConfig: StringMap
  /** Whether who asks may name any folder, and not only those in the roots. */
  readonly mayNameAny: boolean
}

/** Where a storage repository lies, and how. */
export interface Place {
  readonly path: string
  readonly readOnly: boolean
  readonly defaultFormat: FormatName
}

/** What storage-repositories.ts has already. */
interface Parts {
  readonly context: Pick<TransferContext, 'catalog' | 'storage'>
  readonly dataFolder: string
  readonly oneAtATime: LimitFunction
  readonly scan: (sr: SrRow) => Promise<unknown>
  /** As the row says, with the layers that the catalog has there. */
  readonly openStore: (sr: SrRow) => Promise<SrStore>
  readonly requireIdle: (sr: SrRow) => Promise<void>
  readonly requireType: (type: string) => Promise<readonly FormatName[]>
  /** @param own the uuid of the storage repository that asks: its own folder is not taken */
  readonly choosePlace: (asked: AskedPlace, own?: string) => Promise<Place>
  readonly rootsOf: (asked: AskedPlace) => FolderRequest['roots']
}

export const createPlugging = (parts: Parts): Plugging => {
  const {
    context,
    dataFolder,
    oneAtATime,
    scan,
    openStore,
    requireIdle,
    requireType,
    rootsOf,
    choosePlace,
  } = parts
  const { catalog, storage } = context

  /** As the row says now. */
  const reattach = async (uuid: string): Promise<string | undefined> => {
    const sr = await catalog.srs.get(uuid)
    if (sr === undefined) throw new AppError('HANDLE_INVALID', ['SR', toRef(uuid)])
    const { store, reason } = await openStore(sr)
    await storage.upkeep.reattach(uuid, store)
    return reason
  }

  const introduce = async (asked: IntroducedSr): Promise<void> => {
    const [defaultFormat] = await requireType(asked.type)
    if ((await catalog.srs.get(asked.uuid)) !== undefined) {
      throw new AppError('SR_UUID_EXISTS', [asked.uuid])
    }
    await catalog.srs.create({
      ...asked,
      path: '',
      readOnly: false,
      defaultFormat: defaultFormat!,
      deviceConfig: {},
      tags: [],
      hasPbd: false,
      isPlugged: false,
    })
    await reattach(asked.uuid)
  }

  /** Another folder is the same storage repository, moved, if any file of it is there. */
  const requireSameFiles = async (sr: SrRow, path: string): Promise<void> => {
    if (path === sr.path) return
    const files = (await catalog.layers.list(sr.uuid)).map(layerFileName)
    if (files.length === 0) return
    const folder = path === '' ? join(dataFolder, 'sr', sr.uuid) : path
    const present = new Set(await namesIn(folder))
    if (files.some((name) => present.has(name))) return
    const reason = `it has none of the ${files.length} image files of the storage repository ${sr.uuid}`
    throw new AppError('VALUE_NOT_SUPPORTED', ['device_config:location', path, reason])
  }

  const createPbd = async (sr: SrRow, pbd: NewPbd): Promise<void> => {
    const { deviceConfig, otherConfig: pbdOtherConfig } = pbd
    const place = await choosePlace({ ...pbd, type: sr.type }, sr.uuid)
    await requireSameFiles(sr, place.path)
    await makeSrStore({ uuid: sr.uuid, ...place }, dataFolder)
    const change = { ...place, deviceConfig, pbdOtherConfig, hasPbd: true, isPlugged: false }
    await catalog.srs.update(sr.uuid, () => change)
    await reattach(sr.uuid)
  }

  const plug = async (sr: SrRow): Promise<void> => {
    if (storage.stores.isAttached(sr.uuid)) return
    const { store, reason } = await openStore({ ...sr, isPlugged: true })
    if (reason !== undefined) throw notAttached(sr.uuid, reason)
    await catalog.srs.update(sr.uuid, () => ({ isPlugged: true }))
    await storage.upkeep.reattach(sr.uuid, store)
    await scan((await catalog.srs.get(sr.uuid)) ?? sr)
  }

  return {
    introduce: (sr) => oneAtATime(() => introduce(sr)),
    createPbd: (sr, pbd) => oneAtATime(() => createPbd(sr, pbd)),
    destroyPbd: (sr) =>
      oneAtATime(async () => {
        if (sr.isPlugged) {
          const message = `The PBD of the storage repository ${sr.uuid} is plugged: pbd-unplug comes first`
          throw new AppError('OPERATION_NOT_ALLOWED', [message])
        }
        const change = { hasPbd: false, deviceConfig: {}, pbdOtherConfig: {} }
        await catalog.srs.update(sr.uuid, () => change)
        await reattach(sr.uuid)
      }),
    plug: (sr) => oneAtATime(() => plug(sr)),
    unplug: (sr) =>
      oneAtATime(async () => {
        if (!sr.isPlugged) return
        await requireIdle(sr)
        await catalog.srs.update(sr.uuid, () => ({ isPlugged: false }))
        await reattach(sr.uuid)
      }),
    async probe(asked) {
      await requireType(asked.type)
      const location = asked.deviceConfig['location'] ?? ''
      const roots = rootsOf(asked)
      const folder = await requireFreeFolder({ location, readOnly: true, taken: [], roots })
      const known = (await catalog.srs.list()).filter(({ path }) => path === folder)
      const inName = uuidOf(folder.slice(folder.lastIndexOf('/') + 1))
      const own = known[0]?.uuid ?? inName
      const below = (await namesIn(folder, true)).flatMap((name) => {
        const uuid = uuidOf(name)
        return uuid === undefined ? [] : [{ uuid, location: join(folder, name) }]
      })
      return own === undefined ? below : [{ uuid: own, location: folder }, ...below]
    },
  }
}

const uuidOf = (name: string): string | undefined => refToUuid(name.toLowerCase())

/** None where there is no such folder. */
const namesIn = async (folder: string, onlyFolders = false): Promise<string[]> => {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries.filter((entry) => !onlyFolders || entry.isDirectory()).map(({ name }) => name)
  } catch (error) {
    if (isNodeError(error) && error.code === 'ENOENT') return []
    throw error
  }
}
