// Stream → writes for QCOW2: the header here, all that follows in cluster-decoder.ts. A backing
// file name makes the image a delta and is never opened.

import type { ForwardReader } from '../../image/forward-reader.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'
import { ClusterDecoder } from './stream/cluster-decoder.ts'
import { HEADER_LENGTH } from './constants.ts'
import { readHeaderFields } from './header/header-fields.ts'
import type { Header } from './header/header.ts'
import { parseHeader, PREFIX_LENGTH, readClusterSize } from './header/header.ts'

const what = 'Cannot decode qcow2'

/**
 * See ImageFormat.decode. Reads the first cluster; cluster-decoder.ts states the bound on memory.
 */
export const decodeQcow2 = async (
  stream: ForwardReader,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const cluster = await readFirstCluster(stream)
  const header = parseHeader(cluster, context.streamLength, what)
  return {
    virtualSize: header.virtualSize,
    isDelta: header.hasBackingName,
    ...(header.hasBackingName && { baseName: readBackingName(cluster) }),
    ...notesOf(header),
    writes: () => new ClusterDecoder(stream, header, context, what).writes(),
  }
}

const notesOf = ({ snapshots, bitmaps }: Header): Pick<DecodedImage, 'notes'> => {
  const notes: string[] = []
  if (snapshots > 0) {
    const left = `${counted(snapshots, 'internal snapshot')} left out`
    notes.push(`${left}: only the current state of the disk is imported`)
  }
  if (bitmaps > 0) notes.push(`${counted(bitmaps, 'bitmap')} left out`)
  return notes.length === 0 ? {} : { notes }
}

const counted = (count: number, noun: string): string =>
  count === 1 ? `1 ${noun} was` : `${count} ${noun}s were`

const readFirstCluster = async (stream: ForwardReader): Promise<Uint8Array> => {
  const prefix = new Uint8Array(PREFIX_LENGTH)
  await stream.read(prefix, `${what}: header`)
  const cluster = new Uint8Array(readClusterSize(prefix, what))
  cluster.set(prefix)
  await stream.read(cluster.subarray(PREFIX_LENGTH), `${what}: first cluster`)
  return cluster
}

/** @param cluster the first one, whose header has been checked */
const readBackingName = (cluster: Uint8Array): string => {
  const fields = readHeaderFields(cluster, HEADER_LENGTH.version2, what)
  const { backing_file_offset: offset, backing_file_size: length } = fields
  return Buffer.from(cluster.subarray(offset, offset + length)).toString('utf8')
}
