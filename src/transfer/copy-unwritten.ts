// Makes a layer whole: what an import did not write is copied from the content below it.

import { createRangeSet } from '../disk/range-set.ts'
import { copyWrites } from '../disk/copy-writes.ts'
import type { Disk, DiskWrite, DiskWriter } from '../disk/disk.ts'
import type { ByteRange } from '../disk/extents.ts'
import { MiB } from '../units.ts'
import type { Transfer } from './transfers.ts'

/** A writer that remembers where it wrote. */
export interface WriteRecorder extends DiskWriter {
  /** The parts of `range` that were neither written nor zeroed. */
  unwritten(range: ByteRange): ByteRange[]
}

export const createWriteRecorder = (writer: DiskWriter): WriteRecorder => {
  const written = createRangeSet()
  return {
    size: writer.size,
    write(offset, source, signal) {
      written.add({ offset, length: source.length })
      return writer.write(offset, source, signal)
    },
    zero(offset, length, signal) {
      written.add({ offset, length })
      return writer.zero(offset, length, signal)
    },
    unwritten({ offset, length }) {
      const gaps: ByteRange[] = []
      let end = offset
      for (const range of [
        ...written.within({ offset, length }),
        { offset: offset + length, length: 0 },
      ]) {
        if (range.offset > end) gaps.push({ offset: end, length: range.offset - end })
        end = range.offset + range.length
      }
      return gaps
    },
  }
}

/** Copies the data of `source` to `target` wherever the recorder was not written. */
export const copyUnwritten = async (
  source: Disk,
  recorder: WriteRecorder,
  target: DiskWriter,
  work?: Pick<Transfer, 'signal' | 'turn'>,
): Promise<void> => {
  await copyWrites(
    unwrittenData(source, recorder, work),
    target,
    work === undefined ? {} : { signal: work.signal },
  )
}

async function* unwrittenData(
  source: Disk,
  recorder: WriteRecorder,
  work: Pick<Transfer, 'signal' | 'turn'> | undefined,
): AsyncGenerator<DiskWrite, void, undefined> {
  const size = Math.min(source.size, recorder.size)
  for await (const extent of source.extents({ offset: 0, length: size })) {
    if (extent.kind !== 'data') continue
    for (const { offset, length } of recorder.unwritten(extent)) {
      for (let at = offset; at < offset + length; at += MiB) {
        const bytes = new Uint8Array(Math.min(MiB, offset + length - at))
        await work?.turn.step(bytes.length, work.signal)
        await source.read(at, bytes, work?.signal)
        yield { kind: 'data', offset: at, bytes }
      }
    }
  }
}
