// Takes off an upload what it is wrapped in: the codings that its sender names, then, where the
// image may be wrapped, what its first bytes show. Asked by imports; knows no format.

import { imageError } from '../errors.ts'
import type { CompressionName } from '../formats/known-forms.ts'
import { FORM_LENGTH, recogniseForm } from '../formats/recognise.ts'
import type { ForwardReader } from '../image/forward-reader.ts'
import { createForwardReader } from '../image/forward-reader.ts'
import { formatBytes, MiB } from '../units.ts'
import { compressionOf } from '../wrapping/compressions.ts'

/** How often what comes out may be compressed again; the rest is the work of a joker. */
const maximumDepth = 3

/** What may follow an image in its wrapping, besides as much as the image's disk has. */
const tolerance = 64 * MiB

export interface UnwrappedUpload {
  /** The bytes of the image. */
  readonly stream: ForwardReader
  /** What was taken off, the outermost first; none where the body is the image. */
  readonly compressions: readonly CompressionName[]
  /**
   * Reads what is left of the wrapping, whose end says that it is whole and as it was. Does nothing
   * without one.
   * @param diskSize of the image, in bytes
   * @throws AppError as Compression.decompress, and for a wrapping that goes on and on
   */
  finish(diskSize: number): Promise<void>
  /** Ends the decompression. Idempotent. */
  close(): Promise<void>
}

interface Wrapping {
  /** By Content-Encoding, in the order in which they were applied. */
  readonly codings: readonly CompressionName[]
  /** The image cannot begin as something compressed does. */
  readonly mayBeFound: boolean
  readonly signal: AbortSignal
}

/** @param body from its first byte on */
export const unwrapUpload = async (
  body: ForwardReader,
  { codings, mayBeFound, signal }: Wrapping,
): Promise<UnwrappedUpload> => {
  const opened: AsyncIterator<Uint8Array>[] = []
  const compressions: CompressionName[] = []
  const close = async (): Promise<void> => {
    for (const chunks of opened.toReversed()) await chunks.return?.()
  }
  let stream = body
  const unwrap = (name: CompressionName): void => {
    const chunks = compressionOf(name).decompress(chunksOf(stream), signal)[Symbol.asyncIterator]()
    opened.push(chunks)
    compressions.push(name)
    stream = createForwardReader({ [Symbol.asyncIterator]: () => chunks }, signal)
  }
  try {
    for (const coding of codings.toReversed()) unwrap(coding)
    while (mayBeFound) {
      const found = recogniseForm(await stream.peek(FORM_LENGTH))?.compression
      if (found === undefined) break
      if (compressions.length === maximumDepth) {
        const names = compressions.join(', ')
        throw imageError('Cannot decompress', `${names} were taken off, and it is ${found} still`)
      }
      unwrap(found)
    }
  } catch (error) {
    await close()
    throw error
  }
  const content = stream
  return {
    stream: content,
    compressions,
    async finish(diskSize) {
      if (compressions.length === 0) return
      const limit = diskSize + tolerance
      let passed = 0
      for (let rest; (rest = await content.take()) !== undefined;) {
        passed += rest.length
        if (passed <= limit) continue
        const found = `more than ${formatBytes(limit)} follow the image`
        throw imageError(`Cannot decompress ${compressions.at(-1)}`, found)
      }
    },
    close,
  }
}

async function* chunksOf(stream: ForwardReader): AsyncGenerator<Uint8Array, void, undefined> {
  for (let chunk; (chunk = await stream.take()) !== undefined;) yield chunk
}
