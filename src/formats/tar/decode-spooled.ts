// Stream → writes for an archive whose disk has no VDI yet: all of its blocks wait in a spool until
// the last one has come, which tells the size.

import type { DiskWrite } from '../../disk/disk.ts'
import { isZero } from '../../disk/zero.ts'
import type { Spool } from '../../image/spool.ts'
import { alignDown, SECTOR_SIZE } from '../../units.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'

/** A stretch of the disk that lies in the spool as it is. */
interface SpooledRun {
  readonly diskOffset: number
  readonly spoolOffset: number
  length: number
}

/** @param writes of data, ascending; they return the size of the disk */
export const decodeSpooled = async (
  writes: AsyncGenerator<DiskWrite, number, undefined>,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const spool = await context.openSpool()
  try {
    const { size, runs } = await fillSpool(spool, writes, context)
    return { virtualSize: size, isDelta: false, writes: () => readSpool(spool, runs, context) }
  } catch (error) {
    await spool.close()
    throw error
  }
}

/** Keeps all that is not zeros. */
const fillSpool = async (
  spool: Spool,
  writes: AsyncGenerator<DiskWrite, number, undefined>,
  { signal }: DecodeContext,
): Promise<{ size: number; runs: readonly SpooledRun[] }> => {
  const runs: SpooledRun[] = []
  for (;;) {
    const step = await writes.next()
    if (step.done === true) return { size: step.value, runs }
    if (step.value.kind === 'zero') continue
    const { offset, bytes, release } = step.value
    try {
      if (isZero(bytes)) continue
      const spoolOffset = await spool.append(bytes, signal)
      const last = runs.at(-1)
      if (last !== undefined && last.diskOffset + last.length === offset) {
        last.length += bytes.length
      } else runs.push({ diskOffset: offset, spoolOffset, length: bytes.length })
    } finally {
      release?.()
    }
  }
}

async function* readSpool(
  spool: Spool,
  runs: readonly SpooledRun[],
  { buffers, signal }: DecodeContext,
): AsyncGenerator<DiskWrite, void, undefined> {
  const pieceSize = alignDown(buffers.bufferSize, SECTOR_SIZE)
  try {
    for (const { diskOffset, spoolOffset, length } of runs) {
      for (let inside = 0; inside < length; inside += pieceSize) {
        const { bytes, release } = await buffers.take(signal)
        const piece = bytes.subarray(0, Math.min(pieceSize, length - inside))
        await spool.read(spoolOffset + inside, piece, signal).catch((error: unknown) => {
          release()
          throw error
        })
        yield { kind: 'data', offset: diskOffset + inside, bytes: piece, release }
      }
    }
  } finally {
    await spool.close()
  }
}
