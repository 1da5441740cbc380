// The entries of a tar archive that comes as a stream, whatever program wrote it: long names and
// large sizes as pax and GNU tar write them. Used for machines in archives, OVA and XVA; nothing is
// ever written by a name that an archive gives.

import { cutShort, imageError } from '../errors.ts'
import type { TarEntry, TarHeader } from '../formats/tar/header.ts'
import {
  describeType,
  HEADER_LENGTH,
  isRegularFile,
  paddedSize,
  quote,
  readHeader,
} from '../formats/tar/header.ts'
import type { TarReader } from '../formats/tar/tar-reader.ts'
import { hex } from '../image/binary.ts'
import type { ForwardReader } from '../image/forward-reader.ts'
import { formatBytes, KiB } from '../units.ts'
import type { PaxRecords } from './pax.ts'
import { parsePax } from './pax.ts'

/** Of what describes the entry after it, in bytes. */
const maximumDescription = 64 * KiB

export interface ArchiveReader extends TarReader {
  /** What is left of the entry's content, as it comes. */
  content(): AsyncGenerator<Uint8Array, void, undefined>
}

/**
 * Folders are passed over.
 * @param what as messages begin
 */
export const createArchiveReader = (stream: ForwardReader, what: string): ArchiveReader => {
  const bytes = new Uint8Array(HEADER_LENGTH)
  let current: TarEntry | undefined
  /** Bytes of the entry's content that have not been read. */
  let left = 0
  let hasEnded = false
  let hasEndMark = false

  const header = async (): Promise<TarHeader | undefined> => {
    const start = stream.offset
    const count = await stream.readUpTo(bytes)
    if (count < HEADER_LENGTH) {
      const found = count === 0 ? 'without its end mark' : 'inside a header'
      throw cutShort(what, `the archive ends ${found}, after ${start + count} bytes`)
    }
    return readHeader(bytes, `at ${hex(start)}`, what)
  }

  const describing = async ({ name, size }: TarHeader): Promise<Uint8Array> => {
    if (size > maximumDescription) {
      const limit = formatBytes(maximumDescription)
      throw imageError(what, `${quote(name)} has ${size} bytes, the limit is ${limit}`)
    }
    const content = new Uint8Array(paddedSize(size))
    await stream.read(content, `${what}: ${quote(name)}`)
    return content.subarray(0, size)
  }

  const next = async (): Promise<TarEntry | undefined> => {
    let records: PaxRecords = {}
    for (;;) {
      const found = await header()
      if (found === undefined) {
        if ((await header()) !== undefined) {
          throw imageError(what, 'an entry follows a header of zeros: two of them end an archive')
        }
        hasEndMark = true
        return undefined
      }
      const { type } = found
      if (type === 'x') records = { ...records, ...parsePax(await describing(found), what) }
      else if (type === 'L') records = { ...records, path: textOf(await describing(found)) }
      else if (type === 'g') {
        const { path, size } = parsePax(await describing(found), what)
        if (path !== undefined || size !== undefined) {
          throw imageError(what, 'a pax header gives all entries one name or size')
        }
      } else if (type === '5') {
        await stream.skip(paddedSize(records.size ?? found.size), `${what}: ${quote(found.name)}`)
        records = {}
      } else if (isRegularFile(found)) {
        const { path = asUtf8(found.name), size = found.size } = records
        return { name: withoutDot(path), size }
      } else throw imageError(what, `${quote(found.name)} ${describeType(found)}`)
    }
  }

  return {
    get hasEndMark() {
      return hasEndMark
    },
    async entry() {
      if (current !== undefined || hasEnded) return current
      current = await next()
      left = current?.size ?? 0
      hasEnded = current === undefined
      return current
    },
    async read(target, name) {
      await stream.read(target, `${what}: ${name}`)
      left -= target.length
    },
    async *content() {
      const name = quote(current?.name ?? '')
      while (left > 0) {
        const chunk = await stream.take(left)
        if (chunk === undefined) throw cutShort(what, `the archive ends inside ${name}`)
        left -= chunk.length
        yield chunk
      }
    },
    async finish() {
      const { name, size } = current ?? { name: '', size: 0 }
      await stream.skip(left + paddedSize(size) - size, `${what}: ${quote(name)}`)
      current = undefined
    },
  }
}

/** Up to a first zero. */
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8').split('\0', 1)[0]!

/** A header says nothing of its encoding, one character a byte: UTF-8 where it can be. */
const asUtf8 = (name: string): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(name, 'latin1'))
  } catch {
    return name
  }
}

/** `./disk.vmdk` is `disk.vmdk`. */
const withoutDot = (name: string): string => name.replace(/^(?:\.\/+)+/, '')
