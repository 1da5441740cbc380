// All that is known of a VMDK before its grains are read, checked: asked by open and decode alike.

import { imageError, PastEndError } from '../../errors.ts'
import { hex } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import { formatBytes, SECTOR_SIZE } from '../../units.ts'
import { HEADER_SIZE } from './constants.ts'
import { checkDescriptor, partOfDisk } from './descriptor.ts'
import type { Directory, GrainTables } from './grain-tables.ts'
import { directoryLength, grainsInFileOrder, readDirectory, readTables } from './grain-tables.ts'
import type { Header } from './header.ts'
import { parseHeader, refuseDescriptor } from './header.ts'

export interface Structure {
  readonly header: Header
  readonly tables: GrainTables
  /** In the order of the file. */
  readonly grains: Uint32Array
}

/** @param image at least as long as its header */
export const loadHeader = async (image: Image, what: string): Promise<Header> => {
  if (image.size < HEADER_SIZE) {
    const start = new Uint8Array(image.size)
    await image.read(0, start)
    refuseDescriptor(start, what)
    throw imageError(what, `the image of ${formatBytes(image.size)} has no room for a header`)
  }
  const bytes = new Uint8Array(HEADER_SIZE)
  await image.read(0, bytes)
  return parseHeader(bytes, what)
}

/** Where the descriptor ends; an image without one is a part of a disk. */
export const descriptorEnd = (
  { descriptorOffset, descriptorSize }: Header,
  what: string,
): number => {
  if (descriptorOffset !== 0 && descriptorSize !== 0) return descriptorOffset + descriptorSize
  throw partOfDisk(what)
}

/** Checks the descriptor of an image that is there up to its end. */
export const loadDescriptor = async (image: Image, header: Header, what: string): Promise<void> => {
  requireInside(
    'descriptor',
    header.descriptorOffset,
    descriptorEnd(header, what),
    image.size,
    what,
  )
  const bytes = new Uint8Array(header.descriptorSize)
  await image.read(header.descriptorOffset, bytes)
  checkDescriptor(bytes, header, what)
}

/** The last three sectors: a marker, the footer, the end of the stream. */
const footerFromEnd = 2 * SECTOR_SIZE

/** The header with what only the footer says. */
export const loadFooter = async (image: Image, header: Header, what: string): Promise<Header> => {
  if (header.directoryOffset !== undefined) return header
  const bytes = new Uint8Array(HEADER_SIZE)
  const offset = image.size - footerFromEnd
  if (offset < HEADER_SIZE) throw imageError(what, 'it ends without its footer')
  await image.read(offset, bytes)
  const name = `${what}: footer at ${hex(offset)}`
  return checkFooter(header, parseHeader(bytes, name), name)
}

/** The footer, which must be that of this header. */
export const checkFooter = (header: Header, footer: Header, name: string): Header => {
  if (footer.directoryOffset === undefined) {
    throw imageError(name, 'it does not say where the grain directory is')
  }
  const isSame =
    footer.grainSize === header.grainSize &&
    footer.tableEntries === header.tableEntries &&
    footer.isCompressed === header.isCompressed &&
    (header.virtualSize === 0 || footer.virtualSize === header.virtualSize)
  if (!isSame) throw imageError(name, 'it is not that of the header: sizes or kinds differ')
  return {
    ...header,
    virtualSize: footer.virtualSize,
    directoryOffset: footer.directoryOffset,
    hasZeroedGrains: header.hasZeroedGrains || footer.hasZeroedGrains,
  }
}

/** @param header whose directory is in the file */
export const loadDirectory = async (
  image: Image,
  header: Header,
  what: string,
): Promise<Directory> => {
  const offset = header.directoryOffset!
  requireInside('grain directory', offset, offset + directoryLength(header), image.size, what)
  return readDirectory(header, offset, (at, target) => image.read(at, target))
}

/**
 * @param image at least up to the end of its tables
 * @param end where the whole image ends
 */
export const loadStructure = async (
  image: Image,
  header: Header,
  directory: Directory,
  end: number,
  what: string,
): Promise<Structure> => {
  const read = async (offset: number, target: Uint8Array): Promise<void> => {
    requireInside('grain table', offset, offset + target.length, image.size, what)
    await image.read(offset, target)
  }
  const tables = await readTables(header, directory, read, what)
  return { header, tables, grains: grainsInFileOrder(header, { tables, directory, end }, what) }
}

const requireInside = (
  name: string,
  offset: number,
  end: number,
  imageEnd: number,
  what: string,
): void => {
  if (end <= imageEnd) return
  const found = `the ${name} at ${hex(offset)}`
  throw new PastEndError(what, `${found} points past the end of the image, ${hex(imageEnd)}`)
}
