// Stream → writes for QCOW2: the header here, all that follows in cluster-decoder.ts. A backing file
// name makes the image a delta and is never opened.

import type { ForwardReader } from '../../image/forward-reader.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'
import { ClusterDecoder } from './cluster-decoder.ts'
import type { Header } from './header.ts'
import { parseHeader, PREFIX_LENGTH, readClusterSize } from './header.ts'

const what = 'Cannot decode qcow2'

/** See ImageFormat.decode. Reads the first cluster; cluster-decoder.ts states the bound on memory. */
export const decodeQcow2 = async (
  stream: ForwardReader,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const header = await readHeader(stream, context.streamLength)
  return {
    virtualSize: header.virtualSize,
    isDelta: header.hasBackingName,
    writes: () => new ClusterDecoder(stream, header, context, what).writes(),
  }
}

const readHeader = async (
  stream: ForwardReader,
  streamLength: number | undefined,
): Promise<Header> => {
  const prefix = new Uint8Array(PREFIX_LENGTH)
  await stream.read(prefix, `${what}: header`)
  const cluster = new Uint8Array(readClusterSize(prefix, what))
  cluster.set(prefix)
  await stream.read(cluster.subarray(PREFIX_LENGTH), `${what}: first cluster`)
  return parseHeader(cluster, streamLength, what)
}
