// Several disks in one archive, each in its folder, as in an XVA.

import { describe, expect, test } from 'vitest'
import { readBlocks } from '../../../../src/formats/tar/read-blocks.ts'
import type { TarReader } from '../../../../src/formats/tar/tar-reader.ts'
import { createTarReader } from '../../../../src/formats/tar/tar-reader.ts'
import { createBufferPool } from '../../../../src/image/buffer-pool.ts'
import { createForwardReader } from '../../../../src/image/forward-reader.ts'
import { MiB } from '../../../../src/units.ts'
import { block, endMark, patternAt, tarEntry } from '../../../support/block-tars.ts'
import { cutInChunks, expectSameBytes } from '../../../support/disks.ts'

const what = 'Cannot read an archive'

const open = (...entries: readonly Uint8Array[]): TarReader =>
  createTarReader(createForwardReader(cutInChunks(Buffer.concat(entries), [1000])), what)

/** Size and content of the disk in a folder. */
const readDisk = async (archive: TarReader, folder: string, maximumSize = MiB) => {
  const buffers = createBufferPool(1, 1536)
  const writes = readBlocks(archive, { folder, maximumSize, buffers, what })
  // What is neither written nor zeroed shows.
  const content = Buffer.alloc(64 << 10, 0xa5)
  for (;;) {
    const step = await writes.next()
    if (step.done === true) return { size: step.value, content: content.subarray(0, step.value) }
    const { offset } = step.value
    if (step.value.kind === 'zero') content.fill(0, offset, offset + step.value.length)
    else {
      content.set(step.value.bytes, offset)
      step.value.release?.()
    }
  }
}

describe('the blocks of a folder', () => {
  test('end where another folder begins, or another file, or the archive ends', async () => {
    const archive = open(
      tarEntry({ name: 'ova.xml', content: Buffer.from('<xml/>') }),
      block('Ref:1/00000000', patternAt(0, 4096)),
      block('Ref:1/00000003', patternAt(12_288, 512)),
      block('Ref:12/00000000', patternAt(0, 1024)),
      block('Ref:2/00000000', patternAt(512, 4096)),
      tarEntry({ name: 'checksum.xml', content: Buffer.from('<xml/>') }),
      endMark,
    )
    expect((await archive.entry())?.name).toBe('ova.xml')
    const text = Buffer.alloc(6)
    await archive.read(text, 'ova.xml')
    expect(text.toString()).toBe('<xml/>')
    await archive.finish()

    const first = await readDisk(archive, 'Ref:1/')
    expect(first.size).toBe(12_800)
    const expected = [patternAt(0, 4096), new Uint8Array(8192), patternAt(12_288, 512)]
    expectSameBytes(first.content, Buffer.concat(expected))
    expect((await archive.entry())?.name).toBe('Ref:12/00000000')
    expectSameBytes((await readDisk(archive, 'Ref:12/')).content, patternAt(0, 1024))
    expectSameBytes((await readDisk(archive, 'Ref:2/')).content, patternAt(512, 4096))

    expect((await archive.entry())?.name).toBe('checksum.xml')
    await archive.finish()
    expect(await archive.entry()).toBeUndefined()
    expect(archive.hasEndMark).toBe(true)
    expect(await archive.entry()).toBeUndefined()
  })

  test('must be there', async () => {
    const archive = open(block('Ref:1/00000000', patternAt(0, 4096)), endMark)
    await expect(readDisk(archive, 'Ref:2/')).rejects.toThrow('there is no block in "Ref:2/"')
  })

  test('fit the disk of which the caller knows', async () => {
    const archive = open(
      block('Ref:1/00000000', patternAt(0, 4096)),
      block('Ref:1/00002000', patternAt(0, 4096)),
      endMark,
    )
    await expect(readDisk(archive, 'Ref:1/', 4096)).rejects.toThrow(
      'block 2000, 4096 bytes at 8192000, goes past the end: the disk has at most 4096 bytes',
    )
  })

  test('are not ended by the end of the stream alone: the reader tells', async () => {
    const archive = open(block('Ref:1/00000000', patternAt(0, 4096)))
    expect((await readDisk(archive, 'Ref:1/')).size).toBe(4096)
    expect(archive.hasEndMark).toBe(false)
  })
})
