// Stream → writes for tar. How large the disk is shows only at the end: it is that of the VDI, or
// all of the stream waits in a spool, see decode-spooled.ts.

import { clipWrites } from '../../disk/clip-writes.ts'
import type { DiskWrite } from '../../disk/disk.ts'
import { cutShort, imageError } from '../../errors.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import { formatBytes, MAXIMUM_DISK_SIZE } from '../../units.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'
import { requireVirtualSize } from '../virtual-size.ts'
import { folderOf } from './block-sequence.ts'
import { decodeSpooled } from './decode-spooled.ts'
import { quote } from './header.ts'
import type { BlockOptions } from './read-blocks.ts'
import { readBlocks } from './read-blocks.ts'
import type { TarReader } from './tar-reader.ts'
import { createTarReader } from './tar-reader.ts'

const what = 'Cannot decode tar'

/**
 * See ImageFormat.decode. The archive may hold less than the VDI: the rest is zeros. It may lack
 * its end mark, as those of XenServer's vhd-tool do, where its last block reaches the end of the
 * VDI, or the sender says that it may end anywhere.
 */
export const decodeTar = async (
  stream: ForwardReader,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const { diskSize } = context
  const archive = createTarReader(stream, what)
  const first = await archive.entry()
  if (first === undefined) {
    if (!archive.hasEndMark) throw cutShort(what, 'the stream is empty')
    throw imageError(what, 'the archive is empty')
  }
  const folder = folderOf(first.name)
  const readAll = (maximumSize: number) =>
    readWhole(archive, { folder, maximumSize, what, ...context })
  if (diskSize === undefined) return decodeSpooled(readAll(MAXIMUM_DISK_SIZE), context)
  requireVirtualSize(what, diskSize, MAXIMUM_DISK_SIZE)
  return {
    virtualSize: diskSize,
    isDelta: false,
    writes: () => clipWrites(readAll(diskSize), diskSize),
  }
}

/** The blocks of an archive that holds nothing else; the size of the disk. */
async function* readWhole(
  archive: TarReader,
  options: BlockOptions & DecodeContext,
): AsyncGenerator<DiskWrite, number, undefined> {
  const size = yield* readBlocks(archive, options)
  const next = await archive.entry()
  if (next !== undefined) {
    const found = `${quote(next.name)} is not in the folder of the first block`
    throw imageError(what, `${found}: an archive holds one disk`)
  }
  if (!archive.hasEndMark) requireMayEnd(size, options)
  if (options.diskSize === undefined) requireVirtualSize(what, size, MAXIMUM_DISK_SIZE)
  return size
}

/** @throws AppError VDI_IO_ERROR unless an archive that ends without its mark may be whole */
const requireMayEnd = (size: number, { diskSize, mayBeShort }: DecodeContext): void => {
  if (mayBeShort === true || (diskSize !== undefined && size >= diskSize)) return
  const disk = diskSize === undefined ? '' : ` of the VDI's ${formatBytes(diskSize)}`
  const found = `the archive ends without its end mark, with a block up to ${size}${disk}`
  throw cutShort(what, `${found}; if that is all of it, say short=true`)
}
