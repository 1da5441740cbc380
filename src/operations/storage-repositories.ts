// The use cases of storage repositories: made on a folder, scanned, forgotten, destroyed; and single
// files taken as VDIs or forgotten. Image files of others are only ever removed by VDI.destroy.

import { randomUUID } from 'node:crypto'
import { rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { toRef } from '../catalog/refs.ts'
import type { StringMap } from '../catalog/schema.ts'
import type { SrRow } from '../catalog/srs.ts'
import { AppError, isNodeError } from '../errors.ts'
import type { FormatName } from '../formats/format.ts'
import type { FolderRequest } from '../store/files/check-folder.ts'
import { requireFreeFolder } from '../store/files/check-folder.ts'
import { STAGING } from '../store/files/file-folder.ts'
import { parseImageFileName } from '../store/scanning/inspect-file.ts'
import type { IntroducedVdi, ScanReport } from '../store/scanning/scan-folder.ts'
import { noPbd, notAttached, readOnlyError, unplugged } from '../store/files/sr-errors.ts'
import type { SrStore } from '../store/files/sr-store.ts'
import { makeSrStore, openSrStore } from '../store/files/sr-store.ts'
import { removeStaging } from '../store/files/staging-folder.ts'
import type { Store } from '../store/files/store.ts'
import type { TransferContext } from '../transfer/context.ts'
import { preferredFormat, readFlag } from '../transfer/device-config.ts'
import type { AskedPlace, Place, Plugging } from './plugging.ts'
import { createPlugging } from './plugging.ts'
import { createProblemFiles } from '../transfer/problem-files.ts'

export interface NewSr extends AskedPlace {
  readonly nameLabel: string
  readonly nameDescription: string
  readonly contentType: string
  readonly shared: boolean
  readonly smConfig: StringMap
}

export interface StorageRepositories extends Plugging {
  /** Attaches all that the catalog knows. One whose folder is not there is logged; its VDIs cannot be read. */
  attachAll(): Promise<void>

  /**
   * Makes a storage repository, on a folder that is there or one of its own, and scans it. It can be used at once.
   * @returns its uuid
   * @throws AppError SR_UNKNOWN_DRIVER; VALUE_NOT_SUPPORTED [device_config:location, path, reason]; INVALID_VALUE for
   *   another key of `deviceConfig`
   */
  create(sr: NewSr): Promise<string>

  /**
   * Looks at what lies in the folder, and first whether it is there; then collects the layers that nobody needs.
   * @throws AppError SR_NOT_ATTACHED with the reason
   */
  scan(sr: SrRow): Promise<ScanReport>

  /** The file that tells all that the last scan found wrong; it is there only while there is something. */
  problemsFile(srUuid: string): string

  /**
   * Forgets it with its VDIs; all files stay.
   * @throws AppError OTHER_OPERATION_IN_PROGRESS while one is read or written; OPERATION_NOT_ALLOWED for one in the
   *   data folder that is not empty, because nothing could bring it back
   */
  forget(sr: SrRow): Promise<void>

  /**
   * Forgets one without VDIs, and removes the folders that diskport made for it where they are empty.
   * @throws AppError SR_NOT_EMPTY; SR_OPERATION_NOT_SUPPORTED for a read-only one; SR_NOT_ATTACHED for an unplugged one
   */
  destroy(sr: SrRow): Promise<void>

  /**
   * Makes a VDI of a file in the folder.
   * @param location the name of the file, or the uuid in it
   * @throws AppError VALUE_NOT_SUPPORTED [location, name, what is wrong with the file]
   */
  introduceVdi(sr: SrRow, location: string, vdi: IntroducedVdi): Promise<void>

  /**
   * Forgets the VDI and the layers that only it needs; all files stay, and a scan finds them again.
   * @throws AppError HANDLE_INVALID
   */
  forgetVdi(uuid: string): Promise<void>
}

type SrFolder = Pick<SrRow, 'uuid' | 'path' | 'readOnly'>

type Context = Pick<TransferContext, 'catalog' | 'storage' | 'log' | 'leases'>

export const createStorageRepositories = (
  { catalog, storage, log, leases }: Context,
  dataFolder: string,
  srRoots: readonly string[] = [],
): StorageRepositories => {
  // Two that are made at once on one folder would each find it free.
  const oneAtATime = pLimit(1)
  const problemFiles = createProblemFiles(dataFolder)

  const openStore = async (sr: SrRow): Promise<SrStore> =>
    openSrStore(sr, dataFolder, await catalog.layers.list(sr.uuid))

  const open = async (sr: SrRow): Promise<Store> => {
    const { store, reason } = await openStore(sr)
    if (reason !== undefined) {
      log.warn({ sr: sr.uuid, reason }, 'a storage repository is not attached')
    }
    return store
  }

  /** The storage repository has gone from the catalog already. */
  const tidyUp = (place: SrFolder): Promise<void> =>
    removeFolders(place, dataFolder).catch((error: unknown) => {
      log.error({ error, sr: place.uuid }, 'removing the empty folders of a storage repository')
    })

  const noteProblems = (srUuid: string, problems: ScanReport['problems']): Promise<void> =>
    problemFiles.write(srUuid, problems).catch((error: unknown) => {
      log.error({ error, sr: srUuid }, 'writing down what a scan found wrong')
    })

  const tell = async (sr: SrRow, { added, changed, problems }: ScanReport): Promise<void> => {
    log.info({ sr: sr.uuid, added: added.length, changed: changed.length }, 'scanned')
    for (const [file, reason] of problems)
      log.warn({ sr: sr.uuid, file, reason }, 'found by a scan')
    await noteProblems(sr.uuid, problems)
  }

  const scan = async (sr: SrRow): Promise<ScanReport> => {
    // A folder may have come or gone since.
    if (sr.path !== '') await storage.upkeep.reattach(sr.uuid, await open(sr))
    const report = await storage.scanner.scan(sr.uuid)
    await tell(sr, report)
    // What it found stands, whatever becomes of this.
    await storage.upkeep.collectNow(sr.uuid).catch((error: unknown) => {
      log.error({ error, sr: sr.uuid }, 'collecting layers after a scan')
    })
    return report
  }

  /** The formats that SRs of the type hold. @throws AppError SR_UNKNOWN_DRIVER */
  const requireType = async (type: string): Promise<readonly FormatName[]> => {
    const sm = (await catalog.sms.list()).find((sm) => sm.type === type)
    if (sm === undefined) throw new AppError('SR_UNKNOWN_DRIVER', [type.slice(0, 64)])
    return sm.supportedImageFormats
  }

  const rootsOf = ({ mayNameAny }: AskedPlace): FolderRequest['roots'] =>
    mayNameAny ? 'anywhere' : srRoots

  const choosePlace = async (asked: AskedPlace, own?: string): Promise<Place> => {
    const { type, deviceConfig } = asked
    const formats = await requireType(type)
    const readOnly = readFlag(deviceConfig, 'read-only')
    const defaultFormat = preferredFormat(deviceConfig, formats)
    const location = deviceConfig['location'] ?? ''
    if (location === '' && readOnly) {
      const reason =
        'a read-only storage repository needs a location: its own folder would be empty'
      throw new AppError('VALUE_NOT_SUPPORTED', ['device_config:read-only', 'true', reason])
    }
    const taken = [
      { path: dataFolder, name: 'the data folder of this server' },
      ...(await catalog.srs.list())
        .filter((sr) => sr.path !== '' && sr.uuid !== own)
        .map((sr) => ({ path: sr.path, name: `the folder of the storage repository ${sr.uuid}` })),
    ]
    const roots = rootsOf(asked)
    const path =
      location === '' ? '' : await requireFreeFolder({ location, readOnly, taken, roots })
    return { path, readOnly, defaultFormat }
  }

  const create = async ({ mayNameAny, ...asked }: NewSr): Promise<string> => {
    const place = { uuid: randomUUID(), ...(await choosePlace({ ...asked, mayNameAny })) }
    // The store is there before anybody can see the row.
    storage.stores.attach(place.uuid, await makeSrStore(place, dataFolder))
    try {
      const sr = await catalog.srs.create({ ...asked, ...place, tags: [] })
      await scan(sr)
      return sr.uuid
    } catch (error) {
      if ((await catalog.srs.get(place.uuid)) !== undefined) await catalog.forget.sr(place.uuid)
      storage.stores.detach(place.uuid)
      await tidyUp(place)
      throw error
    }
  }

  /** @throws AppError OTHER_OPERATION_IN_PROGRESS */
  const requireIdle = async ({ uuid }: SrRow): Promise<void> => {
    const vdis = (await catalog.vdis.list()).filter((vdi) => vdi.srUuid === uuid)
    const layers = storage.stores.isAttached(uuid) ? await catalog.layers.list(uuid) : []
    const isBusy =
      vdis.some((vdi) => leases.holder(vdi.uuid) !== undefined) ||
      layers.some((layer) => layer.state === 'writing') ||
      (await storage.contents.isRead(uuid))
    if (isBusy) throw new AppError('OTHER_OPERATION_IN_PROGRESS', ['SR', toRef(uuid)])
  }

  const hasVdis = async ({ uuid }: SrRow): Promise<boolean> =>
    (await catalog.vdis.list()).some((vdi) => vdi.srUuid === uuid)

  const remove = async (sr: SrRow): Promise<void> => {
    await requireIdle(sr)
    await catalog.forget.sr(sr.uuid)
    storage.stores.detach(sr.uuid)
    await noteProblems(sr.uuid, new Map())
  }

  return {
    async attachAll() {
      for (const sr of await catalog.srs.list()) storage.stores.attach(sr.uuid, await open(sr))
    },
    create: (sr) => oneAtATime(() => create(sr)),
    scan,
    problemsFile: (srUuid) => problemFiles.path(srUuid),
    forget: (sr) =>
      oneAtATime(async () => {
        if (sr.path === '' && (await hasVdis(sr))) {
          const found = `it lies in the data folder, and no call could bring its VDIs back`
          const message = `The storage repository ${sr.uuid} cannot be forgotten: ${found}`
          throw new AppError('OPERATION_NOT_ALLOWED', [message])
        }
        await remove(sr)
        await tidyUp(sr)
      }),
    destroy: (sr) =>
      oneAtATime(async () => {
        if (sr.readOnly) throw readOnlyError(sr.uuid)
        if (!sr.isPlugged) throw notAttached(sr.uuid, sr.hasPbd ? unplugged : noPbd)
        if (await hasVdis(sr)) throw new AppError('SR_NOT_EMPTY', [toRef(sr.uuid)])
        // What its last VDIs had may be going still.
        await storage.upkeep.collectNow(sr.uuid)
        await remove(sr)
        await tidyUp(sr)
      }),
    async introduceVdi(sr, location, vdi) {
      const name = await fileNameOf(storage, sr, location)
      const fail = (found: string): AppError =>
        new AppError('VALUE_NOT_SUPPORTED', ['location', location.slice(0, 64), found])
      if (name === undefined)
        throw fail('there is no image file of that name or uuid in the folder')
      const { added, problems } = await storage.scanner.introduce(sr.uuid, name, vdi)
      if (added.length === 0) throw fail(problems.get(name) ?? 'the file has gone')
    },
    forgetVdi: (uuid) => catalog.forget.vdi(uuid),
    ...createPlugging({
      context: { catalog, storage },
      dataFolder,
      oneAtATime,
      scan,
      openStore,
      requireIdle,
      requireType,
      rootsOf,
      choosePlace,
    }),
  }
}

/** The file that a client names by its name or by its uuid; undefined where there is none. */
const fileNameOf = async (
  storage: TransferContext['storage'],
  sr: SrRow,
  location: string,
): Promise<string | undefined> => {
  const entries = (await storage.stores.get(sr.uuid).files?.list()) ?? []
  const images = entries.flatMap(({ name }) => parseImageFileName(name) ?? [])
  const found = images.find(
    ({ fileName, uuid }) => fileName === location || uuid === location.toLowerCase(),
  )
  return found?.fileName
}

/** What was made for a storage repository and is empty; what is not empty stays. */
const removeFolders = async (
  { uuid, path, readOnly }: SrFolder,
  dataFolder: string,
): Promise<void> => {
  if (readOnly) return
  if (path !== '') return removeStaging(path, uuid)
  const own = join(dataFolder, 'sr', uuid)
  for (const folder of [join(own, STAGING), own]) await rmdir(folder).catch(unlessInUse)
}

const unlessInUse = (error: unknown): void => {
  if (isNodeError(error) && ['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(error.code ?? '')) return
  throw error
}
