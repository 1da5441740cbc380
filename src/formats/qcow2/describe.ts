// What a QCOW2 at rest says of the image that it lies on.

import type { Image } from '../../image/image.ts'
import { formatOfQemuName } from '../../format-table.ts'
import type { ImageDescription, ParentClaim } from '../format.ts'
import { HEADER_LENGTH, LIMITS, MAGIC } from './constants.ts'
import type { HeaderExtensions } from './header/header-extensions.ts'
import { readHeaderExtensions } from './header/header-extensions.ts'
import type { HeaderFields } from './header/header-fields.ts'
import { readHeaderFields } from './header/header-fields.ts'
import { parseHeader } from './header/header.ts'
import { readFirstCluster } from './open.ts'

const what = 'Cannot read the header of a qcow2'

export const describeQcow2 = async (image: Image): Promise<ImageDescription> => {
  const cluster = await readFirstCluster(image, what)
  // Checks that the name and the extensions lie inside the cluster.
  const { hasBackingName, version } = parseHeader(cluster, image.size, what)
  const fields = readFields(cluster, version)
  const end = fields.backing_file_offset === 0 ? cluster.length : fields.backing_file_offset
  const extensions = readHeaderExtensions(cluster, fields.header_length, end, what)
  return {
    isHidden: extensions.isHidden,
    ...(hasBackingName && { parent: parentOf(cluster, fields, extensions) }),
  }
}

const readFields = (cluster: Uint8Array, version: number): HeaderFields =>
  readHeaderFields(cluster, version === 2 ? HEADER_LENGTH.version2 : HEADER_LENGTH.version3, what)

const parentOf = (
  cluster: Uint8Array,
  fields: HeaderFields,
  { backingFormat: word }: HeaderExtensions,
): ParentClaim => {
  const format = word === undefined ? undefined : (formatOfQemuName(word) ?? 'unknown')
  const { backing_file_offset: offset, backing_file_size: length } = fields
  const name = Buffer.from(cluster.subarray(offset, offset + length)).toString('utf8')
  return { names: [name], ...(format && { format }) }
}

/**
 * See ImageFormat.parentNames: of an image with a feature, or damage, that keeps it from being
 * read.
 */
export const qcow2ParentNames = async (image: Image): Promise<readonly string[]> => {
  if (image.size < HEADER_LENGTH.version2) return []
  const bytes = new Uint8Array(HEADER_LENGTH.version2)
  await image.read(0, bytes)
  const fields = readHeaderFields(bytes, bytes.length, what)
  const { magic, backing_file_offset: offset, backing_file_size: length } = fields
  const end = Math.min(image.size, 2 ** LIMITS.clusterBits.to)
  const hasName = offset > 0 && length > 0 && length <= LIMITS.backingNameBytes
  if (magic !== MAGIC || !hasName || offset + length > end) return []
  const name = Buffer.alloc(length)
  await image.read(offset, name)
  return [name.toString('utf8')]
}
