// Scans of storage repositories: lists the folder, looks at what is new or has changed, works out
// what lies on what, and has the catalog take it over. One bad file never stops a scan.

import pLimit from 'p-limit'
import type { Catalog } from '../../catalog/catalog.ts'
import type { LayerRow } from '../../catalog/layers/layer-row.ts'
import type { FolderContents, ScannedFile } from '../../catalog/layers/scanned-files.ts'
import type { SrRow } from '../../catalog/srs.ts'
import { AppError } from '../../errors.ts'
import type { FileState } from '../../image/image.ts'
import type { ChainFile, FileChain } from './file-chains.ts'
import { claimedNames, resolveChains } from './file-chains.ts'
import { imageUuidOf } from '../files/file-stamp.ts'
import type { ImageFileName, InspectedFile, RefusedFile } from './inspect-file.ts'
import {
  inspectFile,
  isRefused,
  isSameState,
  parseImageFileName,
  reasonOf,
} from './inspect-file.ts'
import type { FolderEntry } from '../files/layer-folder.ts'
import { srNotAttached } from '../../object-errors.ts'
import type { StoreFiles } from '../files/store.ts'
import { layerFileName } from '../files/store.ts'
import type { Stores } from '../files/stores.ts'

export interface ScanReport {
  /** Uuids of VDIs. */
  readonly added: readonly string[]
  /** Uuids of VDIs that have another content, or have lost or found a file. */
  readonly changed: readonly string[]
  /**
   * What is wrong with which file: those that cannot be used, and why; by file name, in its order.
   */
  readonly problems: ReadonlyMap<string, string>
}

/** A VDI that a client names for a file. */
export type IntroducedVdi = NonNullable<ReturnType<FolderContents['vdis']['get']>>

export interface Scanner {
  /** Makes a VDI of each image that is not a parent of another. @throws AppError SR_NOT_ATTACHED */
  scan(srUuid: string): Promise<ScanReport>

  /**
   * Looks again at the files that are known; makes no VDI. @param fileName looked at whatever its
   * times say
   */
  renew(srUuid: string, fileName?: string): Promise<ScanReport>

  /** Makes one VDI of one file. What is wrong with the file is in the report. */
  introduce(srUuid: string, fileName: string, vdi: IntroducedVdi): Promise<ScanReport>

  /**
   * The layers that must be kept although no VDI lies on them: those below files that the catalog
   * does not know, because the owners of those files need them.
   */
  neededByOthers(srUuid: string): Promise<string[]>

  /** What the last look found wrong, by file name. */
  problems(srUuid: string): ReadonlyMap<string, string>
}

interface ScannerOptions {
  readonly catalog: Catalog
  readonly stores: Stores
}

/** A look at a file that need not be taken again while the file is as it was. */
interface Look {
  readonly state: FileState | undefined
  readonly map: FileState | undefined
  readonly result: InspectedFile | RefusedFile
}

export const createScanner = ({ catalog, stores }: ScannerOptions): Scanner => {
  const limits = new Map<string, ReturnType<typeof pLimit>>()
  const looks = new Map<string, Map<string, Look>>()
  const problems = new Map<string, ReadonlyMap<string, string>>()
  stores.whenDetached((srUuid) => {
    for (const known of [limits, looks, problems]) known.delete(srUuid)
  })

  /** Two scans of one folder would find the same file new. */
  const oneAtATime = <T>(srUuid: string, work: () => Promise<T>): Promise<T> => {
    const limit = limits.get(srUuid) ?? pLimit(1)
    limits.set(srUuid, limit)
    return limit(work)
  }

  const look = async (srUuid: string): Promise<Folder> => {
    const { files } = stores.get(srUuid)
    const known = await catalog.layers.list(srUuid)
    const before = looks.get(srUuid) ?? new Map<string, Look>()
    const after = new Map<string, Look>()
    if (files === undefined) return { known, present: new Set(), inspected: [], refused: [] }
    const entries = await files.list().catch((error: unknown) => {
      throw error instanceof AppError ? error : srNotAttached(srUuid, reasonOf(error), error)
    })
    const folder = await lookAtFiles(files, entries, known, before, after)
    looks.set(srUuid, after)
    return folder
  }

  const apply = async (
    srUuid: string,
    choose: (folder: ResolvedFolder, sr: SrRow | undefined) => FolderContents['vdis'],
  ): Promise<ScanReport> => {
    const folder = resolveFolder(await look(srUuid))
    const sr = await catalog.srs.get(srUuid)
    const { files, present, found } = folder
    const vdis = choose(folder, sr)
    const applied = await catalog.scannedFiles.apply({ srUuid, files, present, vdis })
    // What is wrong with the file says more than that it cannot be used.
    const refused = [...applied.refused].filter(([name]) => files.has(name) || !found.has(name))
    const all = new Map([...found, ...refused])
    const sorted = new Map([...all].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    problems.set(srUuid, sorted)
    return { added: applied.added, changed: applied.changed, problems: sorted }
  }

  return {
    scan: (srUuid) => oneAtATime(srUuid, () => apply(srUuid, newVdis)),
    renew: (srUuid, fileName) =>
      oneAtATime(srUuid, () => {
        if (fileName !== undefined) looks.get(srUuid)?.delete(fileName)
        return apply(srUuid, () => new Map())
      }),
    introduce: (srUuid, fileName, vdi) =>
      oneAtATime(srUuid, () =>
        apply(
          srUuid,
          (_folder, sr) =>
            new Map([[fileName, { nameLabel: fileName, readOnly: sr?.readOnly ?? false, ...vdi }]]),
        ),
      ),
    async neededByOthers(srUuid) {
      const layers = await catalog.layers.list(srUuid)
      // Others come to folders of their own; in the data folder only to what was found there once.
      const isShared = (await catalog.srs.get(srUuid))?.path !== ''
      if (!isShared && layers.every((layer) => layer.fileStamp === null)) return []
      return oneAtATime(srUuid, async () => {
        const { known, strangers } = resolveFolder(await look(srUuid))
        const uuids = new Map(known.map((layer) => [layerFileName(layer), layer.uuid]))
        return strangers.map((name) => uuids.get(name)).filter((uuid) => uuid !== undefined)
      })
    },
    problems: (srUuid) => problems.get(srUuid) ?? new Map(),
  }
}

interface Folder {
  /** What the catalog knew before the folder was listed. */
  readonly known: readonly LayerRow[]
  /** All names. */
  readonly present: ReadonlySet<string>
  /** Files of others that can be read. */
  readonly inspected: readonly InspectedFile[]
  readonly refused: readonly RefusedFile[]
}

const lookAtFiles = async (
  files: StoreFiles,
  entries: readonly FolderEntry[],
  known: readonly LayerRow[],
  before: ReadonlyMap<string, Look>,
  after: Map<string, Look>,
): Promise<Folder> => {
  const ours = new Set(known.filter((layer) => layer.fileStamp === null).map(layerFileName))
  const inspected: InspectedFile[] = []
  const refused: RefusedFile[] = []
  for (const { name: fileName, isPlain } of entries) {
    const name = parseImageFileName(fileName)
    if (name === undefined || ours.has(fileName)) continue
    if (!isPlain) {
      const reason = 'it is no plain file, and links are not followed'
      refused.push({ fileName, reason, parentNames: [] })
      continue
    }
    const result = await lookAtFile(files, name, before, after)
    if (result === undefined) continue
    if (isRefused(result)) refused.push(result)
    else inspected.push(result)
  }
  return { known, present: new Set(entries.map(({ name }) => name)), inspected, refused }
}

const lookAtFile = async (
  files: StoreFiles,
  name: ImageFileName,
  before: ReadonlyMap<string, Look>,
  after: Map<string, Look>,
): Promise<InspectedFile | RefusedFile | undefined> => {
  const { fileName } = name
  try {
    const state = await files.state(fileName)
    const map = await files.state(`${fileName}.map.json`)
    const last = before.get(fileName)
    if (last !== undefined && isSameState(last.state, state) && isSameState(last.map, map)) {
      after.set(fileName, last)
      return last.result
    }
    const result = await inspectFile(files, name)
    if (result !== undefined) after.set(fileName, { state, map, result })
    return result
  } catch (error) {
    return { fileName, reason: reasonOf(error), parentNames: [] }
  }
}

interface ResolvedFolder {
  readonly known: readonly LayerRow[]
  readonly present: ReadonlySet<string>
  /** Those that can be read with all below them. */
  readonly files: ReadonlyMap<string, ScannedFile>
  /** Those that are there only for others. */
  readonly hidden: ReadonlySet<string>
  /** What is wrong, or odd. */
  readonly found: ReadonlyMap<string, string>
  /** Names on which files lie that the catalog does not know. */
  readonly strangers: readonly string[]
}

const resolveFolder = ({ known, present, inspected, refused }: Folder): ResolvedFolder => {
  const byUuid = new Map(known.map((layer) => [layer.uuid, layer]))
  const ours = known.filter((layer) => layer.fileStamp === null && layer.state === 'sealed')
  const broken = new Map(refused.map(({ fileName, reason }) => [fileName, reason]))
  const chains = resolveChains(
    new Map([
      ...ours.map((layer) => [layerFileName(layer), chainFileOf(layer, byUuid)] as const),
      ...inspected.map((file) => [file.fileName, file] as const),
    ]),
    broken,
  )
  const files = new Map<string, ScannedFile>()
  const found = new Map(broken)
  for (const file of inspected) {
    const chain = chains.get(file.fileName)!
    if (chain.kind === 'broken') found.set(file.fileName, chain.reason)
    else files.set(file.fileName, { ...file, parentName: parentNameIn(chain) })
    if (chain.kind !== 'broken' && file.remark !== undefined) found.set(file.fileName, file.remark)
  }
  const knownNames = new Set(known.map(layerFileName))
  const claims = [
    ...inspected.map(({ fileName, parent }) => ({ fileName, names: parent?.names ?? [] })),
    ...refused.map(({ fileName, parentNames: names }) => ({ fileName, names })),
  ].map(({ fileName, names }) => ({ fileName, names: claimedNames(names) }))
  return {
    known,
    present,
    files,
    found,
    hidden: new Set([
      ...inspected.filter((file) => file.isHidden).map((file) => file.fileName),
      // Also what those lie on that cannot be used: it would be offered, and deleted, below them.
      ...claims.flatMap(({ names }) => names),
    ]),
    strangers: claims
      .filter(({ fileName }) => !knownNames.has(fileName))
      .flatMap(({ names }) => names),
  }
}

const parentNameIn = (chain: FileChain): string | null =>
  chain.kind === 'on' ? chain.parentName : null

/** A layer of ours by what the catalog says: its file is not looked into. */
const chainFileOf = (layer: LayerRow, byUuid: ReadonlyMap<string, LayerRow>): ChainFile => {
  const parent = layer.parentUuid === null ? undefined : byUuid.get(layer.parentUuid)
  return {
    format: layer.format,
    imageUuid: imageUuidOf(layer),
    ...(parent && { parent: { names: [layerFileName(parent)] } }),
  }
}

/** Each unknown image that no other lies on. */
const newVdis = (
  { files, hidden, known }: ResolvedFolder,
  sr: SrRow | undefined,
): FolderContents['vdis'] => {
  const knownNames = new Set(known.map(layerFileName))
  return new Map(
    [...files.values()]
      .filter(({ fileName }) => !hidden.has(fileName) && !knownNames.has(fileName))
      .map(({ fileName, uuid }) => [
        fileName,
        { uuid, nameLabel: fileName, readOnly: sr?.readOnly ?? false },
      ]),
  )
}
