// Numbered blocks with their checksums → writes: the content of one disk in an archive, which may
// hold others after it, each in a folder of its own.

import type { DiskWrite } from '../../disk/disk.ts'
import type { BufferPool } from '../../image/buffer-pool.ts'
import { alignDown, SECTOR_SIZE } from '../../units.ts'
import type { PlacedBlock } from './block-sequence.ts'
import { createBlockSequence, folderOf, requireSameDigest } from './block-sequence.ts'
import type { BlockHash, Checksum } from './checksums.ts'
import { checksums } from './checksums.ts'
import type { TarReader } from './tar-reader.ts'

export interface BlockOptions {
  /** What the names of the blocks begin with, its slash included: `Ref:12/`, or nothing. */
  readonly folder: string
  /** Of the disk, in bytes; what is rounded up may go 2 MiB further, see clipWrites. */
  readonly maximumSize: number
  readonly buffers: BufferPool
  readonly signal?: AbortSignal
  /** As messages begin. */
  readonly what: string
}

/**
 * Reads the blocks of a folder, up to the first entry in another one, which stays to be read, or up
 * to the end of the archive. Yields what they hold, ascending, in pieces of whole sectors, and
 * zeros for what is left out between them. The checksum of each block has been compared when the
 * writes go on to the next, and of all when they end.
 * @returns the size of the disk: where its last block ends
 * @throws AppError IMPORT_ERROR_GENERIC for what is no sequence of blocks, VDI_IO_ERROR for a
 *   stream that ends inside one
 */
export async function* readBlocks(
  archive: TarReader,
  options: BlockOptions,
): AsyncGenerator<DiskWrite, number, undefined> {
  const { folder, what } = options
  const sequence = createBlockSequence(options)
  // Which of them it is shows only after the first block.
  let kinds: readonly Checksum[] = Object.values(checksums)
  let end = 0
  for (;;) {
    const entry = await archive.entry()
    if (entry === undefined || folderOf(entry.name) !== folder) return sequence.finish()
    const block = sequence.place(entry)
    const { offset, length } = block
    if (offset > end) yield { kind: 'zero', offset: end, length: offset - end }
    end = offset + length
    const hashes = await Promise.all(kinds.map((kind) => kind.create()))
    yield* readContent(archive, block, hashes, options)
    await archive.finish()
    const kind = sequence.requireChecksum(await archive.entry(), block)
    const digest = Buffer.alloc(kind.length)
    await archive.read(digest, `the checksum of ${block.name}`)
    await archive.finish()
    const found = hashes[kinds.indexOf(kind)]!.digest()
    requireSameDigest(found, digest.toString('latin1'), block, what)
    kinds = [kind]
  }
}

async function* readContent(
  archive: TarReader,
  { name, offset, length }: PlacedBlock,
  hashes: readonly BlockHash[],
  { buffers, signal }: BlockOptions,
): AsyncGenerator<DiskWrite, void, undefined> {
  const pieceSize = alignDown(buffers.bufferSize, SECTOR_SIZE)
  for (let inside = 0; inside < length; inside += pieceSize) {
    const { bytes, release } = await buffers.take(signal)
    const piece = bytes.subarray(0, Math.min(pieceSize, length - inside))
    await archive.read(piece, name).catch((error: unknown) => {
      release()
      throw error
    })
    for (const hash of hashes) hash.update(piece)
    yield { kind: 'data', offset: offset + inside, bytes: piece, release }
  }
}
