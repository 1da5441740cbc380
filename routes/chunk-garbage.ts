// Frees the chunks of uploads soon. Node allocates each outside the JavaScript heap, where V8 lets about
// a hundred megabytes of them lie before it looks; a collection of the young generation costs less than
// a millisecond and keeps the server's memory where its buffers are.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MiB } from '../src/units.ts'

/** How many bytes of chunks may lie about, over all uploads. */
const garbageLimit = 8 * MiB

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void

let garbage = 0

/** Tells that `bytes` of chunks will not be used again. */
export const noteChunkGarbage = (bytes: number): void => {
  garbage += bytes
  if (garbage < garbageLimit) return
  garbage = 0
  collect({ type: 'minor' })
}
