// Frees what has been received, in time. The chunks of a socket are 64 KiB each outside V8's heap,
// and only a collection of the young generation frees them; the little that they take inside it
// makes one due every 150 MB. So it is asked for more often, which costs less than a millisecond
// each time.

import { MiB } from '../units.ts'

/** Bytes received between two collections, of all transfers together. */
const interval = 16 * MiB

/**
 * There under `--expose-gc` only, with which `npm start`, the container and the packed program run.
 */
interface Collecting {
  gc?: (options: { type: 'minor' }) => void
}

let received = 0

/** Tells of bytes that have come in buffers of their own. */
export const receivedBytes = (length: number): void => {
  received += length
  if (received < interval) return
  received = 0
  const { gc } = globalThis as Collecting
  gc?.({ type: 'minor' })
}
