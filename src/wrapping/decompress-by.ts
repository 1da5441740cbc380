// Decompression by a stream of node:zlib, which works in threads of its own. Says what is wrong
// with a stream in our words.

import type { Transform } from 'node:stream'
import { pipeline, Readable } from 'node:stream'
import { AppError, cutShort, imageError } from '../errors.ts'
import type { CompressionName } from '../formats/known-forms.ts'
import { receivedBytes } from '../image/young-garbage.ts'

/**
 * @param transform new; it is destroyed when the source fails or the caller leaves
 * @throws AppError as Compression.decompress
 */
export async function* decompressBy(
  name: CompressionName,
  transform: Transform,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let out = 0
  // What goes wrong is thrown by the iteration below.
  pipeline(Readable.from(source, { objectMode: true, highWaterMark: 1 }), transform, () => {})
  try {
    for await (const chunk of transform as AsyncIterable<Uint8Array>) {
      out += chunk.length
      receivedBytes(chunk.length)
      yield chunk
    }
  } catch (error) {
    throw error instanceof AppError ? error : explain(name, error as NodeJS.ErrnoException, out)
  }
}

const explain = (name: CompressionName, error: NodeJS.ErrnoException, out: number): Error => {
  const what = `Cannot decompress ${name}`
  const { code = '', message } = error
  // zlib's word for an input that ends in the middle.
  if (code === 'Z_BUF_ERROR') return cutShort(what, `the stream ends after ${out} bytes came out`)
  if (!/^(?:Z|ZSTD)_/.test(code) && !code.startsWith('ERR_TRAILING')) return error
  return imageError(what, `${message}, after ${out} bytes came out`)
}
