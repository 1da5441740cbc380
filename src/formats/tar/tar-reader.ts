// The entries of an archive that comes as a stream, one after the other. Used by decoders of disks
// in archives; knows no blocks.

import { cutShort, imageError } from '../../errors.ts'
import { hex } from '../../image/binary.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import type { TarEntry } from './header.ts'
import { HEADER_LENGTH, paddedSize, parseHeader, quote } from './header.ts'

export interface TarReader {
  /**
   * The next entry, whose content comes next; the same one until `finish`. Undefined where the
   * archive ends.
   */
  entry(): Promise<TarEntry | undefined>
  /**
   * Fills `target` with the next bytes of the entry's content, which must have so many.
   * @param name for messages: `block 3`
   */
  read(target: Uint8Array, name: string): Promise<void>
  /** Passes over the rest of the entry. */
  finish(): Promise<void>
  /** Once the archive has ended: whether by its end mark, or only because the stream did. */
  readonly hasEndMark: boolean
}

export const createTarReader = (stream: ForwardReader, what: string): TarReader => {
  const header = new Uint8Array(HEADER_LENGTH)
  let current: TarEntry | undefined
  /** Bytes of the entry, padding included, that have not been read. */
  let left = 0
  let hasEnded = false
  let hasEndMark = false

  const readEnd = async (): Promise<void> => {
    await stream.read(header, `${what}: the end mark`)
    if (parseHeader(header, `at ${hex(stream.offset - HEADER_LENGTH)}`, what) !== undefined) {
      const found = `one header of zeros at ${hex(stream.offset - 2 * HEADER_LENGTH)}`
      throw imageError(what, `${found}, and an entry after it: two of them end an archive`)
    }
    hasEndMark = true
  }

  const readHeader = async (): Promise<TarEntry | undefined> => {
    const start = stream.offset
    const count = await stream.readUpTo(header)
    if (count > 0 && count < HEADER_LENGTH) {
      throw cutShort(what, `the stream ends in the header at ${hex(start)}, after ${count} bytes`)
    }
    const entry = count === 0 ? undefined : parseHeader(header, `at ${hex(start)}`, what)
    if (entry !== undefined) return entry
    if (count > 0) await readEnd()
    hasEnded = true
    return undefined
  }

  return {
    get hasEndMark() {
      return hasEndMark
    },
    async entry() {
      if (current !== undefined || hasEnded) return current
      current = await readHeader()
      left = current === undefined ? 0 : paddedSize(current.size)
      return current
    },
    async read(target, name) {
      await stream.read(target, `${what}: ${name}`)
      left -= target.length
    },
    async finish() {
      await stream.skip(left, `${what}: ${quote(current?.name ?? '')}`)
      current = undefined
    },
  }
}
