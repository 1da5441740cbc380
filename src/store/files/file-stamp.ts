// How a file looked when it was found, so that a change by somebody else is noticed: its size, the
// time of its last change, its number, and a digest of its first and last bytes, where images of
// all formats keep what says the rest.

import { createHash } from 'node:crypto'
import { StorageError } from '../../errors.ts'
import type { FileState, Image } from '../../image/image.ts'
import { KiB } from '../../units.ts'

/** Of the file's beginning: header, and in small clusters the first tables. */
const headSize = 4 * KiB

/** Of its end: the footer of a VHD. */
const tailSize = 512

export interface FileStamp {
  /** In bytes. */
  readonly size: number
  /** Nanoseconds since 1970; more than a number holds. */
  readonly changedAt: string
  readonly inode: string
  readonly digest: string
  /** Size and time of the block map beside a raw file. */
  readonly map?: string
  /** The image's own id, where it has one. */
  readonly imageUuid?: string
}

/**
 * A file that is not what it was: others write here too.
 * VDI_IO_ERROR, with a sentence that names the file and what has changed.
 */
export class ChangedFileError extends StorageError {
  readonly fileName: string

  constructor(fileName: string, changes: string) {
    super(`The file ${fileName} was changed by somebody else: ${changes}`)
    this.fileName = fileName
  }
}

/**
 * @param image of a file
 * @param map the block map beside it, where there is one
 */
export const takeStamp = async (image: Image, map?: FileState): Promise<FileStamp> => {
  const state = await image.state?.()
  const size = state?.size ?? image.size
  return {
    size,
    changedAt: String(state?.changedAt ?? 0),
    inode: String(state?.inode ?? 0),
    // What has become shorter cannot be read to its old end, and has changed anyway.
    digest: size < image.size ? '' : await digestOf(image),
    ...(map && { map: `${map.size} ${map.changedAt}` }),
  }
}

const digestOf = async (image: Image): Promise<string> => {
  const head = new Uint8Array(Math.min(headSize, image.size))
  const tail = new Uint8Array(Math.min(tailSize, image.size))
  await image.read(0, head)
  await image.read(image.size - tail.length, tail)
  return createHash('sha256').update(head).update(tail).digest('base64url').slice(0, 22)
}

/** As the catalog keeps it. */
export const stampText = (stamp: FileStamp): string => JSON.stringify(stamp)

/** @throws Error for what `stampText` did not write */
export const parseStamp = (text: string): FileStamp => JSON.parse(text) as FileStamp

/** What has changed between two stamps, in words; undefined for nothing. */
export const changesBetween = (before: FileStamp, now: FileStamp): string | undefined => {
  const changes: string[] = []
  if (before.size !== now.size) {
    changes.push(`its size was ${before.size} bytes and is ${now.size}`)
  }
  if (before.inode !== now.inode) changes.push('another file has taken its place')
  if (before.changedAt !== now.changedAt) {
    changes.push(`it was last written at ${timeOf(before)} and again at ${timeOf(now)}`)
  }
  if (before.digest !== now.digest) changes.push('its first or last bytes are others')
  if (before.map !== now.map) changes.push('the block map beside it is another')
  return changes.length === 0 ? undefined : changes.join(', ')
}

const timeOf = ({ changedAt }: FileStamp): string => {
  const nanoseconds = BigInt(changedAt)
  const fraction = String(nanoseconds % 1_000_000_000n).padStart(9, '0')
  const seconds = new Date(Number(nanoseconds / 1_000_000n)).toISOString().slice(0, 19)
  return `${seconds}.${fraction}Z`
}

/**
 * The id that the image in the file gives itself, or else that of the layer: what a child calls its
 * parent.
 */
export const imageUuidOf = (layer: {
  readonly uuid: string
  readonly fileStamp?: string | null
}): string => {
  const { fileStamp } = layer
  const stamp = fileStamp === null || fileStamp === undefined ? undefined : parseStamp(fileStamp)
  return stamp?.imageUuid ?? layer.uuid
}

/**
 * Names what a layer holds: its own content never changes, that of a file of others may with its
 * stamp.
 */
export const contentKeyOf = (layer: {
  readonly uuid: string
  readonly fileStamp?: string | null
}): string =>
  layer.fileStamp === null || layer.fileStamp === undefined
    ? layer.uuid
    : `${layer.uuid} ${layer.fileStamp}`
