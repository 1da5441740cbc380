// The descriptor of a VMDK: a text that says what kind of disk it is, and names its files. Nothing
// that is named in one is ever opened.

import { createHash } from 'node:crypto'
import { imageError } from '../../errors.ts'
import { formatBytes, SECTOR_SIZE } from '../../units.ts'
import type { ImageIdentity } from '../format.ts'
import { WRITTEN_DESCRIPTOR_SECTORS } from './constants.ts'

const supported: readonly string[] = ['monolithicSparse', 'streamOptimized']

/** The parent of a disk that has none. */
const noParent = 'ffffffff'

const convert = 'make a whole disk of it first (qemu-img convert -O qcow2 disk.vmdk disk.qcow2)'

/** What the header says, against which the descriptor is held. */
interface Extent {
  /** In bytes; 0 where only the footer says it. */
  readonly virtualSize: number
  readonly grainSize: number
}

/**
 * @param bytes up to a first zero
 * @throws AppError IMPORT_ERROR_GENERIC for a disk that lies in more than this file, or on another
 */
export const checkDescriptor = (bytes: Uint8Array, extent: Extent, what: string): void => {
  const text = Buffer.from(bytes).toString('latin1').split('\0', 1)[0]!
  if (text.trim() === '') throw partOfDisk(what)
  const values = new Map<string, string>()
  const extents: string[] = []
  for (const line of text.split(/\r\n|[\r\n]/)) {
    const value = /^\s*(\w[\w.]*)\s*=\s*"?([^"]*)"?\s*$/.exec(line)
    if (value !== null) values.set(value[1]!.toLowerCase(), value[2]!.trim())
    else if (/^\s*(?:RW|RDONLY|NOACCESS)\s/i.test(line)) extents.push(line)
  }
  const type = values.get('createtype')
  if (type === undefined)
    throw imageError(what, 'its descriptor does not say what it is (createType)')
  if (!supported.some((known) => known.toLowerCase() === type.toLowerCase())) {
    const found = `it is a VMDK of the kind ${quote(type)}, only ${supported.join(' and ')} are whole`
    throw imageError(what, `${found}: ${convert}`)
  }
  const parent = values.get('parentcid')
  if (parent !== undefined && parent.toLowerCase() !== noParent) {
    const found = `it lies on another disk (parentCID=${quote(parent)}) and holds what differs`
    throw imageError(what, `${found}: ${convert}`)
  }
  if (extents.length !== 1) {
    throw imageError(what, `its descriptor names ${extents.length} extents, must be 1: ${convert}`)
  }
  const sectors = /^\s*\w+\s+(\d+)\s+SPARSE\s/i.exec(extents[0]!)?.[1]
  if (sectors === undefined) {
    throw imageError(what, `its extent is not sparse (${quote(extents[0]!.trim())}): ${convert}`)
  }
  requireSameSize(Number(sectors) * SECTOR_SIZE, extent, what)
}

/** Some writers round the one up to a grain, and not the other: then the header's counts. */
const requireSameSize = (size: number, { virtualSize, grainSize }: Extent, what: string): void => {
  if (virtualSize === 0 || Math.abs(size - virtualSize) < grainSize) return
  const found = `its descriptor says that the disk has ${formatBytes(size, virtualSize)}`
  throw imageError(what, `${found}, its header ${formatBytes(virtualSize, size)}`)
}

/** The refusal of a file without a descriptor. */
export const partOfDisk = (what: string): Error =>
  imageError(
    what,
    'it has no descriptor, so it is one of several files of a disk: convert the disk first, by its descriptor (qemu-img convert -O qcow2 disk.vmdk disk.qcow2)',
  )

/** What is not ours, in messages: short, and without control characters. */
const quote = (text: string): string => JSON.stringify(text.slice(0, 64))

/** Of a whole disk in one file. Filled up with zeros. */
export const encodeDescriptor = (
  createType: 'monolithicSparse' | 'streamOptimized',
  size: number,
  { uuid, timestamp }: ImageIdentity,
): Uint8Array => {
  const sectors = size / SECTOR_SIZE
  const [heads, sectorsPerTrack] = [255, 63]
  const cylinders = Math.min(65_535, Math.ceil(sectors / (heads * sectorsPerTrack)))
  const text = `# Disk DescriptorFile
version=1
CID=${contentId(uuid, timestamp)}
parentCID=${noParent}
createType="${createType}"

# Extent description
RW ${sectors} SPARSE "${uuid}.vmdk"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "${cylinders}"
ddb.geometry.heads = "${heads}"
ddb.geometry.sectors = "${sectorsPerTrack}"
ddb.adapterType = "lsilogic"
`
  const bytes = new Uint8Array(WRITTEN_DESCRIPTOR_SECTORS * SECTOR_SIZE)
  bytes.set(Buffer.from(text))
  return bytes
}

/** Another one for each content; the last two of 32 bits mean that there is none. */
const contentId = (uuid: string, timestamp: Date): string => {
  const digest = createHash('sha256').update(`${uuid}\n${timestamp.toISOString()}`).digest('hex')
  return digest.slice(0, 8).replace(/^ffffff/, '7fffff')
}
