// Looks at one file that others wrote: what image it is, whether it can be read, and what it says
// it lies on. Reads headers and tables, opens nothing that they name.

import { refToUuid } from '../../refs.ts'
import { toAppError } from '../../errors.ts'
import type { FormatName } from '../../format-table.ts'
import { formatOfEnding } from '../../format-table.ts'
import type { ImageDescription } from '../../formats/format.ts'
import { formats } from '../../formats/registry.ts'
import type { FileState, Image } from '../../image/image.ts'
import { padToSectors } from '../../image/padded-image.ts'
import { alignUp, SECTOR_SIZE } from '../../units.ts'
import type { FileStamp } from '../files/file-stamp.ts'
import { changesBetween, stampText, takeStamp } from '../files/file-stamp.ts'
import { readForeignMap } from '../files/foreign-map.ts'
import { mapState, sidecarName } from '../files/map-sidecar.ts'
import type { StoreFiles } from '../files/store.ts'

/** A file whose name says that it is an image: `<uuid>.<extension>`, as XenServer names them. */
export interface ImageFileName {
  readonly fileName: string
  readonly uuid: string
  readonly format: FormatName
}

export interface InspectedFile extends ImageFileName, ImageDescription {
  /** In bytes, in whole sectors. */
  readonly virtualSize: number
  /** Length in bytes. */
  readonly fileSize: number
  readonly changedAt: Date
  /** For the catalog. */
  readonly stamp: string
  /** What is odd about it and yet read. */
  readonly remark?: string
}

/** A file that cannot be used. */
export interface RefusedFile {
  readonly fileName: string
  readonly reason: string
  /** What it calls its parent, as far as it can be made out. */
  readonly parentNames: readonly string[]
}

export const isRefused = (file: InspectedFile | RefusedFile): file is RefusedFile =>
  'reason' in file

/** Undefined for any other file. */
export const parseImageFileName = (fileName: string): ImageFileName | undefined => {
  const dot = fileName.indexOf('.')
  const uuid = refToUuid(fileName.slice(0, Math.max(0, dot)))
  if (uuid === undefined || fileName.startsWith('OpaqueRef:')) return undefined
  const format = formatOfEnding(fileName.slice(dot + 1))
  return format && { fileName, uuid, format }
}

/**
 * How long a file must have been left alone before its stamp is taken, in milliseconds: the clock
 * of a file system moves in steps of up to 10, and two writes within one step look the same.
 */
const quietTime = 20

/** How often a file that is being written is waited for; then its next write will show. */
const maximumWaits = 5

/**
 * Never throws for what is wrong with the file.
 * @returns undefined where it has gone
 */
export const inspectFile = async (
  files: StoreFiles,
  name: ImageFileName,
): Promise<InspectedFile | RefusedFile | undefined> => {
  const { fileName, format } = name
  let image: Image | undefined
  try {
    await waitForQuiet(files, fileName)
    image = await files.open(fileName)
    return image && (await inspectImage(files, name, image))
  } catch (error) {
    const parentNames = image === undefined ? [] : await parentNamesOf(format, image)
    return { fileName, reason: reasonOf(error), parentNames }
  } finally {
    await image?.close()
  }
}

/** What an unreadable image calls its parent, as far as it can be made out. */
const parentNamesOf = async (format: FormatName, image: Image): Promise<readonly string[]> => {
  try {
    const named = await formats[format].parentNames?.(image)
    return named ?? (await formats[format].describe(image)).parent?.names ?? []
  } catch {
    return []
  }
}

/**
 * @throws AppError IMPORT_ERROR_GENERIC, VDI_IO_ERROR or an error of the operating system for a
 *   file that is no readable image
 */
const inspectImage = async (
  files: StoreFiles,
  name: ImageFileName,
  image: Image,
): Promise<InspectedFile> => {
  // First, so that a write while the rest is read shows as a change when the file is opened.
  const looks = await takeStamp(image, await mapState(files, name))
  const description = await formats[name.format].describe(image)
  const { imageUuid } = description
  const stamp = { ...looks, ...(imageUuid !== undefined && { imageUuid }) }
  const { size, mapRemark } = await openAsExport(files, name, image)
  await checkUnlessWritten(name, image, looks)
  const isCut = name.format === 'raw' && stamp.size % SECTOR_SIZE !== 0
  const remarks = [isCut ? remarkOn(stamp) : undefined, mapRemark].filter(isThere)
  return {
    ...name,
    ...description,
    virtualSize: size,
    fileSize: stamp.size,
    changedAt: new Date(Number(BigInt(stamp.changedAt) / 1_000_000n)),
    stamp: stampText(stamp),
    ...(remarks.length > 0 && { remark: remarks.join('; ') }),
  }
}

const isThere = (remark: string | undefined): remark is string => remark !== undefined

const waitForQuiet = async (files: StoreFiles, fileName: string): Promise<void> => {
  for (let waits = 0; waits < maximumWaits; waits += 1) {
    const state = await files.state(fileName)
    const age = state === undefined ? quietTime : Date.now() - Number(state.changedAt / 1_000_000n)
    // A clock that goes ahead of ours tells nothing.
    if (age < 0 || age >= quietTime) return
    await new Promise((resolve) => setTimeout(resolve, quietTime - age))
  }
}

interface OpenedOnce {
  /** Virtual size, in bytes. */
  readonly size: number
  /** Why the map beside a raw file is not used. */
  readonly mapRemark?: string
}

/** Opens the image as an export would: what cannot be exported is found now. */
const openAsExport = async (
  files: StoreFiles,
  name: ImageFileName,
  image: Image,
): Promise<OpenedOnce> => {
  const whole = name.format === 'raw' ? padToSectors(image) : image
  // The disk would close the image, which its opener does.
  const { size } = await formats[name.format].open(whole)
  const found = name.format === 'raw' ? await readForeignMap(files, name, whole) : undefined
  const reason = found !== undefined && 'distrust' in found ? found.distrust : undefined
  if (reason === undefined) return { size }
  return { size, mapRemark: `the block map ${sidecarName(name)} is not used: ${reason}` }
}

/**
 * One that a VM writes meanwhile says nothing of its health: new tables name clusters after the end
 * that it had.
 */
const checkUnlessWritten = async (
  { format }: ImageFileName,
  image: Image,
  looks: FileStamp,
): Promise<void> => {
  const { map: _map, ...before } = looks
  try {
    await formats[format].checkTables?.(image)
  } catch (error) {
    if (changesBetween(before, await takeStamp(image)) === undefined) throw error
  }
}

const remarkOn = ({ size }: FileStamp): string =>
  `its ${size} bytes are no whole sectors: read as ${alignUp(size, SECTOR_SIZE)} bytes, with zeros at the end`

/** The message for a file that could not be inspected. */
export const reasonOf = (error: unknown): string => toAppError(error).message

/** Whether the file is as it was, by what can be seen from outside. */
export const isSameState = (a: FileState | undefined, b: FileState | undefined): boolean =>
  a?.size === b?.size &&
  a?.changedAt === b?.changedAt &&
  a?.inodeChangedAt === b?.inodeChangedAt &&
  a?.inode === b?.inode
