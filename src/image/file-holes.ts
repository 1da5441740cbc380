// Where a file has holes, asked of the file system with SEEK_DATA and SEEK_HOLE. Node has no call
// for it; koffi reaches the C library's lseek. Where that cannot be, a file counts as all data.

import koffi from 'koffi'
import type { ByteRange, Extent } from '../disk/extents.ts'
import { coalesce } from '../disk/extents.ts'

// Linux and FreeBSD number these alike; macOS has them the other way round.
const onMac = process.platform === 'darwin'
const SEEK_DATA = onMac ? 4 : 3
const SEEK_HOLE = onMac ? 3 : 4
const ENXIO = 6

type Seek = (fd: number, offset: number, whence: number) => number

const loadSeek = (): Seek | undefined => {
  if (!['linux', 'freebsd', 'darwin'].includes(process.platform)) return undefined
  try {
    // off_t is 64 bits wide on all systems that Node runs on.
    return koffi.load(null).func('int64_t lseek(int fd, int64_t offset, int whence)') as Seek
  } catch {
    return undefined
  }
}

const seek = loadSeek()

/** `data` and `hole` extents of an open file, covering `range` exactly. */
export const fileExtents = (fd: number, range: ByteRange): AsyncIterable<Extent> =>
  coalesce(seekExtents(fd, range))

function* seekExtents(fd: number, { offset, length }: ByteRange): Generator<Extent> {
  const end = offset + length
  let at = offset
  while (at < end) {
    const data = Math.min(end, nextData(fd, at) ?? end)
    yield { offset: at, length: data - at, kind: 'hole' }
    const hole = data < end ? Math.min(end, nextHole(fd, data) ?? end) : end
    yield { offset: data, length: hole - data, kind: 'data' }
    at = hole
  }
}

/**
 * Where data begins at or after `offset`; undefined past the last. A file system that cannot tell:
 * here.
 */
const nextData = (fd: number, offset: number): number | undefined => {
  if (seek === undefined) return offset
  const found = seek(fd, offset, SEEK_DATA)
  if (found >= 0) return found
  return koffi.errno() === ENXIO ? undefined : offset
}

/** Where a hole begins after `offset`; undefined where there is none before the end of the file. */
const nextHole = (fd: number, offset: number): number | undefined => {
  if (seek === undefined) return undefined
  const found = seek(fd, offset, SEEK_HOLE)
  return found > offset ? found : undefined
}
