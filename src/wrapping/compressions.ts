// The compressions that an upload may be wrapped in: how each is undone, with bounded memory and
// off the event loop. Asked by transfer/unwrap-upload. What a wrapped file begins with stands in
// formats/known-forms.

import { createGunzip } from 'node:zlib'
import type { CompressionName } from '../formats/known-forms.ts'
import { decompressBy } from './decompress-by.ts'
import { decompressInWorker } from './decompress-in-worker.ts'
import { decompressZstd } from './zstd.ts'

interface Compression {
  readonly name: CompressionName
  /** What Content-Encoding calls it, in lower case. */
  readonly codings: readonly string[]
  /**
   * The bytes that were compressed, in chunks of any length, which are the caller's. Several
   * members or frames one after the other are one stream.
   * @throws AppError IMPORT_ERROR_GENERIC for what is broken, does not match its checksum or needs
   *   more memory than is given; VDI_IO_ERROR where the source ends before the stream does
   */
  decompress(source: AsyncIterable<Uint8Array>, signal?: AbortSignal): AsyncIterable<Uint8Array>
}

/** Bytes that come out of zlib at a time. */
const chunkSize = 256 * 1024

export const compressions: readonly Compression[] = [
  {
    name: 'gzip',
    codings: ['gzip', 'x-gzip'],
    decompress: (source) => decompressBy('gzip', createGunzip({ chunkSize }), source),
  },
  { name: 'zstd', codings: ['zstd'], decompress: (source) => decompressZstd(source) },
  {
    name: 'xz',
    codings: ['xz', 'x-xz'],
    decompress: (source, signal) => decompressInWorker('xz', source, signal),
  },
  {
    name: 'bzip2',
    codings: ['bzip2', 'x-bzip2'],
    decompress: (source, signal) => decompressInWorker('bzip2', source, signal),
  },
]

export const compressionOf = (name: CompressionName): Compression =>
  compressions.find((each) => each.name === name)!

/** @param coding an element of Content-Encoding */
export const compressionOfCoding = (coding: string): Compression | undefined =>
  compressions.find(({ codings }) => codings.includes(coding.toLowerCase()))
