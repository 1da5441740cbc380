// Makes a layer whole: what an import did not write is copied from the content below it.

import type { CopySource } from '../disk/copy-extents.ts'
import type { Disk, DiskWriter } from '../disk/disk.ts'
import type { ByteRange, Extent } from '../disk/extents.ts'
import { createRangeSet } from '../disk/range-set.ts'
import type { Work } from './copy-disk.ts'
import { copyDisk } from './copy-disk.ts'

/** A writer that remembers where it wrote. */
interface WriteRecorder extends DiskWriter {
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

/**
 * Copies the data of `source` to `target` wherever the recorder was not written.
 * @throws AppError TASK_CANCELLED, and whatever reading or writing throws
 */
export const copyUnwritten = (
  source: Disk,
  recorder: WriteRecorder,
  target: DiskWriter,
  work: Work,
): Promise<void> => {
  const unwritten: CopySource = {
    extents: () => unwrittenData(source, recorder),
    read: (offset, bytes, signal) => source.read(offset, bytes, signal),
  }
  return copyDisk(unwritten, target, work)
}

async function* unwrittenData(
  source: Disk,
  recorder: WriteRecorder,
): AsyncGenerator<Extent, void, undefined> {
  const size = Math.min(source.size, recorder.size)
  for await (const extent of source.extents({ offset: 0, length: size })) {
    if (extent.kind !== 'data') continue
    for (const range of recorder.unwritten(extent)) yield { ...range, kind: 'data' }
  }
}
