// What a QCOW2 at rest says of the image that it lies on.

import type { Image } from '../../image/image.ts'
import type { ImageDescription, ParentClaim } from '../describe.ts'
import type { FormatName } from '../format.ts'
import { HEADER_LENGTH } from './constants.ts'
import { readHeaderExtensions } from './header-extensions.ts'
import { readHeaderFields } from './header-fields.ts'
import { parseHeader } from './header.ts'
import { readFirstCluster } from './open.ts'

const what = 'Cannot read the header of a qcow2'

/** QEMU's words for the formats. */
const formatsByWord: Readonly<Record<string, FormatName>> = {
  raw: 'raw',
  vpc: 'vhd',
  qcow2: 'qcow2',
}

export const describeQcow2 = async (image: Image): Promise<ImageDescription> => {
  const cluster = await readFirstCluster(image, what)
  // Checks that the name lies inside the cluster.
  const { hasBackingName, version } = parseHeader(cluster, image.size, what)
  return {
    isHidden: false,
    ...(hasBackingName && { parent: readParent(cluster, version) }),
  }
}

const readParent = (cluster: Uint8Array, version: 2 | 3): ParentClaim => {
  const length = version === 2 ? HEADER_LENGTH.version2 : HEADER_LENGTH.version3
  const fields = readHeaderFields(cluster, length, what)
  const { backing_file_offset: offset, backing_file_size: size, header_length: from } = fields
  const name = Buffer.from(cluster.subarray(offset, offset + size)).toString('utf8')
  const { backingFormat: word } = readHeaderExtensions(cluster, from, offset, what)
  const format = word === undefined ? undefined : (formatsByWord[word] ?? 'unknown')
  return { names: [name], ...(format && { format }) }
}
