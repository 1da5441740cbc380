// The beginning of a VHDX that comes as a stream, readable at any offset: in memory while it is
// short, else in the spool. On demand all of the image.

import type { ForwardReader } from '../../image/forward-reader.ts'
import type { Image } from '../../image/image.ts'
import { createMemoryImage } from '../../image/memory-image.ts'
import type { Spool } from '../../image/spool.ts'
import { MiB } from '../../units.ts'
import type { DecodeContext } from '../format.ts'

/** Tables end before it in what programs write for disks of up to 16 TiB. */
const maximumInMemory = 16 * MiB

const pieceSize = MiB

export interface KeptStart {
  /** What has been kept so far. */
  readonly image: Image
  /** Reads the stream to its end; all of the image. */
  keepRest(): Promise<Image>
  /** Idempotent. */
  close(): Promise<void>
}

/**
 * Keeps the stream up to `end`.
 * @param first what has been read of it
 * @throws AppError VDI_IO_ERROR where it ends before
 */
export const keepStart = async (
  stream: ForwardReader,
  first: Uint8Array,
  end: number,
  { openSpool, signal }: Pick<DecodeContext, 'openSpool' | 'signal'>,
  what: string,
): Promise<KeptStart> => {
  let spool: Spool | undefined
  const close = async (): Promise<void> => {
    await spool?.close()
    spool = undefined
  }
  const read = async (length: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(Math.min(length, pieceSize))
    await stream.read(bytes, `${what}: tables`)
    return bytes
  }
  const keepInMemory = async (): Promise<Image> => {
    const image = createMemoryImage(first)
    while (stream.offset < end) await image.write(image.size, await read(end - stream.offset))
    return image
  }
  const keepInSpool = async (): Promise<Image> => {
    spool = await openSpool()
    await spool.append(first, signal)
    while (stream.offset < end) await spool.append(await read(end - stream.offset), signal)
    return spoolImage(spool, stream.offset)
  }
  try {
    const image = await (end <= maximumInMemory ? keepInMemory() : keepInSpool())
    const keepRest = async (): Promise<Image> => {
      if (spool === undefined) {
        spool = await openSpool()
        await copyInto(spool, image, signal)
      }
      for (;;) {
        const chunk = await stream.take()
        if (chunk === undefined) return spoolImage(spool, stream.offset)
        await spool.append(chunk, signal)
      }
    }
    return { image, keepRest, close }
  } catch (error) {
    await close()
    throw error
  }
}

const copyInto = async (
  spool: Spool,
  image: Image,
  signal: AbortSignal | undefined,
): Promise<void> => {
  for (let offset = 0; offset < image.size; offset += pieceSize) {
    const piece = new Uint8Array(Math.min(pieceSize, image.size - offset))
    await image.read(offset, piece)
    await spool.append(piece, signal)
  }
}

/** Closing it leaves the spool open. */
const spoolImage = (spool: Spool, size: number): Image => ({
  size,
  read: (offset, target, signal) => spool.read(offset, target, signal),
  close: async () => {},
})
