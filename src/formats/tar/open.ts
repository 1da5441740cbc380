// Image → Disk for tar at rest: reads all headers, and nothing between them; blocks-disk.ts does
// the rest. Memory is a run for each stretch of blocks.

import type { Disk } from '../../disk/disk.ts'
import { imageError, PastEndError } from '../../errors.ts'
import { hex } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import { KiB, MAXIMUM_DISK_SIZE } from '../../units.ts'
import { requireVirtualSize } from '../virtual-size.ts'
import { createBlockIndex } from './block-index.ts'
import { createBlockSequence, folderOf } from './block-sequence.ts'
import { createBlocksDisk } from './blocks-disk.ts'
import type { Checksum } from './checksums.ts'
import type { TarEntry } from './header.ts'
import { HEADER_LENGTH, paddedSize, parseHeader } from './header.ts'

const what = 'Cannot open tar'

/** See ImageFormat.open. */
export const openTar = async (image: Image): Promise<Disk> => {
  const walk = createHeaderWalk(image)
  const first = await walk.entry()
  if (first === undefined) throw imageError(what, 'the archive is empty')
  const options = { folder: folderOf(first.name), maximumSize: MAXIMUM_DISK_SIZE, what }
  const sequence = createBlockSequence(options)
  const builder = createBlockIndex()
  let checksum: Checksum | undefined
  let blockSize = 0
  for (let entry: TarEntry | undefined = first; entry !== undefined; entry = await walk.entry()) {
    const { offset, length, name } = sequence.place(entry)
    if (blockSize === 0) blockSize = length
    if (length > 0) builder.add(offset, walk.contentOffset, length)
    walk.pass(entry)
    const beside: TarEntry | undefined = await walk.entry()
    checksum = sequence.requireChecksum(beside, { offset, length, name })
    if (beside !== undefined) walk.pass(beside)
  }
  const size = sequence.finish()
  requireVirtualSize(what, size, MAXIMUM_DISK_SIZE)
  return createBlocksDisk({ image, size, blockSize, index: builder.finish(size), checksum })
}

/** Bytes read at once: what stands between two blocks fits. */
const windowSize = 4 * KiB

const createHeaderWalk = (image: Image) => {
  let at = 0
  let start = 0
  let window = new Uint8Array(0)

  const read = async (offset: number): Promise<Uint8Array> => {
    if (offset + HEADER_LENGTH > image.size) {
      const found = `the archive ends without its end mark: a header at ${hex(offset)} is missing`
      throw new PastEndError(what, found)
    }
    if (offset < start || offset + HEADER_LENGTH > start + window.length) {
      window = new Uint8Array(Math.min(windowSize, image.size - offset))
      await image.read(offset, window)
      start = offset
    }
    return window.subarray(offset - start, offset - start + HEADER_LENGTH)
  }
  const parse = async (offset: number): Promise<TarEntry | undefined> =>
    parseHeader(await read(offset), `at ${hex(offset)}`, what)

  return {
    /** Undefined at the end mark. */
    async entry(): Promise<TarEntry | undefined> {
      const entry = await parse(at)
      if (entry === undefined && (await parse(at + HEADER_LENGTH)) !== undefined) {
        const found = `one header of zeros at ${hex(at)}, and an entry after it`
        throw imageError(what, `${found}: two of them end an archive`)
      }
      return entry
    },
    /** Of the entry that was looked at last. */
    get contentOffset(): number {
      return at + HEADER_LENGTH
    },
    pass({ size }: TarEntry): void {
      at += HEADER_LENGTH + paddedSize(size)
    },
  }
}
