// An image that ends within its last cluster: QEMU reads what is missing as zeros, and so does
// this. One rule for images at rest (tables.ts), streams of known length and streams from a pipe.

import { cutShort } from '../../../errors.ts'
import type { ForwardReader } from '../../../image/forward-reader.ts'
import { alignUp } from '../../../units.ts'
import type { Header } from '../header/header.ts'

/**
 * Whether a stream that has ended at `end` lacks only a part of the last cluster that is needed.
 * @param needed where in the image the bytes end that are asked for
 */
export const endsInLastCluster = (
  end: number,
  needed: number,
  { clusterSize, imageSize }: Pick<Header, 'clusterSize' | 'imageSize'>,
): boolean => {
  const isWhole = end === imageSize || imageSize === Number.MAX_SAFE_INTEGER
  return isWhole && needed <= alignUp(end, clusterSize)
}

interface Needed extends Pick<Header, 'clusterSize' | 'imageSize'> {
  /** What is being done, for messages. */
  readonly what: string
  /** Where in the image the bytes begin. */
  readonly imageOffset: number
  /** What they are, and where: `the cluster of guest offset 0x0 lies at 0x50000`. */
  readonly name: string
}

/**
 * Fills `target` from the stream; what is missing of the last cluster is zeros.
 * @throws AppError VDI_IO_ERROR where more is missing
 */
export const readToEnd = async (
  stream: ForwardReader,
  target: Uint8Array,
  { what, imageOffset, name, ...sizes }: Needed,
): Promise<void> => {
  const count = await stream.readUpTo(target)
  if (count === target.length) return
  if (!endsInLastCluster(stream.offset, imageOffset + target.length, sizes)) {
    const found = `the stream ends after ${stream.offset} bytes`
    throw cutShort(what, `${found}, ${name}, ${target.length} bytes`)
  }
  target.fill(0, count)
}
