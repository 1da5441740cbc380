// Decompresses a piece into a buffer that is there, by the handle below Node's zlib streams. Node's
// own functions make a stream and a buffer for each piece, and freeing them costs more than the
// work. The handle is not documented: where it is not as it was, or a piece is anything but one
// full unit, this says so and does nothing else, and the caller takes the documented way.

import type { Zlib } from 'node:zlib'
import { constants, createInflate, createInflateRaw, createZstdDecompress } from 'node:zlib'
import type { Method } from './messages.ts'
import { zstdWindowLog } from './messages.ts'

/** @returns whether `target` was filled with all that the piece holds, no more and no less */
type InPlace = (piece: Uint8Array, target: Uint8Array) => boolean

interface Handle {
  reset(): void
  close(): void
  writeSync(
    flush: number,
    input: Uint8Array,
    inputOffset: number,
    inputLength: number,
    output: Uint8Array,
    outputOffset: number,
    outputLength: number,
  ): void
}

interface Internals {
  readonly handle: Handle
  /** Room left in the output, bytes left of the input. */
  readonly state: Uint32Array
}

const streams = {
  inflate: () => createInflate(),
  inflateRaw: () => createInflateRaw(),
  zstd: () => createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLog } }),
} satisfies Record<Method, () => Zlib | ReturnType<typeof createZstdDecompress>>

const isHandle = (found: Partial<Handle> | undefined): found is Handle =>
  typeof found?.reset === 'function' &&
  typeof found.close === 'function' &&
  typeof found.writeSync === 'function'

/** @param onError called when what is written is no piece */
const openInternals = (method: Method, onError: () => void): Internals | undefined => {
  const stream: object = streams[method]()
  const handle = Reflect.get(stream, '_handle') as Partial<Handle> | undefined
  const state = Reflect.get(stream, '_writeState') as unknown
  if (!isHandle(handle) || !(state instanceof Uint32Array)) return undefined
  Object.assign(handle, { onerror: onError })
  return { handle, state }
}

/** Undefined where Node's zlib has no such handle. */
export const createInPlace = (method: Method): InPlace | undefined => {
  const flush = method === 'zstd' ? constants.ZSTD_e_end : constants.Z_FINISH
  const more = new Uint8Array(1)
  let hasFailed = false
  const open = (): Internals | undefined =>
    openInternals(method, () => {
      hasFailed = true
    })
  const write = ({ handle }: Internals, input: Uint8Array, output: Uint8Array): boolean => {
    handle.writeSync(flush, input, 0, input.length, output, 0, output.length)
    return !hasFailed
  }
  let opened = open()
  if (opened === undefined) return undefined
  return (piece, target) => {
    opened ??= open()
    if (opened === undefined) return false
    const { handle, state } = opened
    handle.reset()
    // Full: it may hold more.
    const isDone =
      write(opened, piece, target) &&
      state[0] === 0 &&
      write(opened, piece.subarray(piece.length - state[1]!), more) &&
      state[0] === more.length
    if (hasFailed) {
      // What failed once goes on to say so.
      handle.close()
      opened = undefined
      hasFailed = false
    }
    return isDone
  }
}
