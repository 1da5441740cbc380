// Cuts an image to the disk it goes to: senders round sizes up, and what lies beyond the disk's end
// must then be nothing or zeros.

import { imageError } from '../errors.ts'
import { formatBytes } from '../units.ts'
import type { DiskWrite } from './disk.ts'
import { isZero } from './zero.ts'

/**
 * `writes` without what lies at or after `size`.
 * @throws AppError IMPORT_ERROR_GENERIC for a byte other than zero there
 */
export async function* clipWrites(
  writes: AsyncIterable<DiskWrite>,
  size: number,
): AsyncGenerator<DiskWrite, void, undefined> {
  for await (const write of writes) {
    const length = write.kind === 'data' ? write.bytes.length : write.length
    const inside = Math.max(0, Math.min(length, size - write.offset))
    if (inside === length) {
      yield write
      continue
    }
    if (write.kind === 'zero') {
      if (inside > 0) yield { ...write, length: inside }
      continue
    }
    if (!isZero(write.bytes.subarray(inside))) {
      const at = Math.max(size, write.offset)
      throw imageError('Cannot import', `data at ${at}, after the VDI's ${formatBytes(size)}`)
    }
    if (inside > 0) yield { ...write, bytes: write.bytes.subarray(0, inside) }
    else write.release?.()
  }
}
