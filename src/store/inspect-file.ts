// Looks at one file that others wrote: what image it is, whether it can be read, and what it says it
// lies on. Reads headers and tables, opens nothing that they name.

import { refToUuid } from '../catalog/refs.ts'
import { toAppError } from '../errors.ts'
import type { ImageDescription } from '../formats/describe.ts'
import { describeImage } from '../formats/describe.ts'
import type { FormatName } from '../formats/format.ts'
import { formats } from '../formats/registry.ts'
import type { FileState, Image } from '../image/image.ts'
import { padToSectors } from '../image/padded-image.ts'
import { alignUp, SECTOR_SIZE } from '../units.ts'
import type { FileStamp } from './file-stamp.ts'
import { stampText, takeStamp } from './file-stamp.ts'
import { mapState, readSidecar } from './map-sidecar.ts'
import type { StoreFiles } from './store.ts'

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

const formatsByExtension: Readonly<Record<string, FormatName>> = {
  vhd: 'vhd',
  qcow2: 'qcow2',
  raw: 'raw',
  img: 'raw',
}

/** Undefined for any other file. */
export const parseImageFileName = (fileName: string): ImageFileName | undefined => {
  const dot = fileName.indexOf('.')
  const extension = fileName.slice(dot + 1)
  const uuid = refToUuid(fileName.slice(0, Math.max(0, dot)))
  if (uuid === undefined || fileName.startsWith('OpaqueRef:')) return undefined
  if (!Object.hasOwn(formatsByExtension, extension)) return undefined
  return { fileName, uuid, format: formatsByExtension[extension]! }
}

/**
 * How long a file must have been left alone before its stamp is taken, in milliseconds: the clock of a file system
 * moves in steps of up to 10, and two writes within one step look the same.
 */
const quietTime = 20

/** How often a file that is being written is waited for; then its next write will show. */
const maximumWaits = 5

/**
 * @throws AppError IMPORT_ERROR_GENERIC, VDI_IO_ERROR or an error of the operating system for a file that is no
 *   readable image; undefined where it has gone
 */
export const inspectFile = async (
  files: StoreFiles,
  name: ImageFileName,
): Promise<InspectedFile | undefined> => {
  await waitForQuiet(files, name.fileName)
  const image = await files.open(name.fileName)
  if (image === undefined) return undefined
  try {
    // First, so that a write while the rest is read shows as a change when the file is opened.
    const looks = await takeStamp(image, await mapState(files, name))
    const description = await describeImage[name.format](image)
    const { imageUuid } = description
    const stamp = { ...looks, ...(imageUuid !== undefined && { imageUuid }) }
    const size = await readableSize(files, name, image, stamp)
    return {
      ...name,
      ...description,
      virtualSize: size,
      fileSize: stamp.size,
      changedAt: new Date(Number(BigInt(stamp.changedAt) / 1_000_000n)),
      stamp: stampText(stamp),
      ...(stamp.size % SECTOR_SIZE !== 0 && name.format === 'raw' && { remark: remarkOn(stamp) }),
    }
  } finally {
    await image.close()
  }
}

const waitForQuiet = async (files: StoreFiles, fileName: string): Promise<void> => {
  for (let waits = 0; waits < maximumWaits; waits += 1) {
    const state = await files.state(fileName)
    const age = state === undefined ? quietTime : Date.now() - Number(state.changedAt / 1_000_000n)
    // A clock that goes ahead of ours tells nothing.
    if (age < 0 || age >= quietTime) return
    await new Promise((resolve) => setTimeout(resolve, quietTime - age))
  }
}

/** The virtual size. Opens the image as an export would: what cannot be exported is found now. */
const readableSize = async (
  files: StoreFiles,
  name: ImageFileName,
  image: Image,
  stamp: FileStamp,
): Promise<number> => {
  const whole = name.format === 'raw' ? padToSectors(image) : image
  // The disk would close the image, which its opener does.
  const { size } = await formats[name.format].open(whole)
  if (name.format === 'raw')
    await readSidecar(files, { ...name, fileStamp: stampText(stamp) }, size)
  return size
}

const remarkOn = ({ size }: FileStamp): string =>
  `its ${size} bytes are no whole sectors: read as ${alignUp(size, SECTOR_SIZE)} bytes, with zeros at the end`

/** What to tell of a file that could not be looked at. */
export const reasonOf = (error: unknown): string => toAppError(error).message

/** Whether the file is as it was, by what can be seen from outside. */
export const isSameState = (a: FileState | undefined, b: FileState | undefined): boolean =>
  a?.size === b?.size && a?.changedAt === b?.changedAt && a?.inode === b?.inode
