// Refuses an upload that plainly does not fit into its storage repository, before its first byte.
// What may fit is let in: zeros are not stored, so the length of a raw image says nothing.

import { AppError } from '../errors.ts'
import { formatBytes, MiB } from '../units.ts'
import type { TransferContext } from './context.ts'

/** Without so much free, in bytes, not even the tables of a layer can be written. */
const reserve = MiB

/** Of the length of an image: what its own tables may take, which are not stored. */
const tables = (length: number): number => length / 64 + 4 * MiB

export interface AnnouncedImage {
  readonly formatName: string
  /** In bytes, where it is announced. */
  readonly length?: number | undefined
  /** Of the VDI that it goes into, in bytes, where there is one. */
  readonly diskSize?: number | undefined
}

/** @throws AppError SR_FULL with the numbers */
export const requireRoom = async (
  { storage }: TransferContext,
  srUuid: string,
  image: AnnouncedImage,
): Promise<void> => {
  const { size, used } = await storage.stores.get(srUuid).space()
  const free = Math.max(0, size - used)
  if (free < reserve) {
    throw noRoom(srUuid, `${free} bytes are free there, at least ${reserve} are needed`)
  }
  const needed = leastStored(image)
  if (needed <= free) return
  const found = `the image has ${formatBytes(image.length ?? 0)}, ${formatBytes(free)} are free there`
  const advice =
    'an image that is mostly zeros may fit: send it without a Content-Length, in chunks'
  throw noRoom(srUuid, `${found}; ${advice}`)
}

/**
 * @param needed bytes that will be stored, at least
 * @throws AppError SR_FULL with the numbers
 */
export const requireRoomFor = async (
  { storage }: TransferContext,
  srUuid: string,
  needed: number,
): Promise<void> => {
  const { size, used } = await storage.stores.get(srUuid).space()
  const free = Math.max(0, size - used)
  if (needed <= free) return
  const found = `${formatBytes(needed, free)} would be stored there`
  const message = `The storage repository ${srUuid} is full: ${found}, ${formatBytes(free, needed)} are free`
  throw new AppError('SR_FULL', [String(needed), String(free)], { message })
}

const noRoom = (srUuid: string, found: string): AppError =>
  new AppError('SR_FULL', [], { message: `The storage repository ${srUuid} is full: ${found}` })

/**
 * What a sparse image of this length holds, at least. A fixed VHD is as raw: its length tells
 * nothing.
 */
const leastStored = ({ formatName, length, diskSize }: AnnouncedImage): number => {
  if (length === undefined || formatName.toLowerCase() === 'raw') return 0
  const guest = length - VHD_FOOTER
  const isFixed = formatName.toLowerCase() === 'vhd' && (guest === diskSize || guest % MiB === 0)
  return isFixed ? 0 : length - tables(length)
}

/** All that a fixed VHD has beside its data, in bytes. */
const VHD_FOOTER = 512
