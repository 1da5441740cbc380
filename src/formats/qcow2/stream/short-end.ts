// An image that ends within its last cluster: QEMU reads what is missing as zeros, and so does
// this. One rule for images at rest (tables.ts), streams of known length and streams from a pipe.

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
