// Entries of archives as several programs write them, cut in chunks of any length.

import { describe, expect, test } from 'vitest'
import { createArchiveReader } from '../../../src/archives/archive-reader.ts'
import { createForwardReader } from '../../../src/image/forward-reader.ts'
import { endMark, type Entry, tarEntry } from '../../support/block-tars.ts'
import { cutInChunks } from '../../support/disks.ts'

const archiveOf = (...entries: readonly Entry[]): Buffer =>
  Buffer.concat([...entries.map((entry) => tarEntry(entry)), endMark])

const readAll = async (bytes: Uint8Array, lengths = [700]) => {
  const stream = createForwardReader(cutInChunks(bytes, lengths))
  const reader = createArchiveReader(stream, 'Cannot read')
  const found: [string, string][] = []
  for (let entry; (entry = await reader.entry()) !== undefined;) {
    const chunks: Uint8Array[] = []
    for await (const chunk of reader.content()) chunks.push(chunk)
    found.push([entry.name, Buffer.concat(chunks).toString('latin1')])
    await reader.finish()
  }
  return found
}

const content = (text: string): Buffer => Buffer.from(text)

describe('an archive reader', () => {
  test.each([[[1]], [[511, 3]], [[100_000]]])('reads entries, in chunks of %j', async (lengths) => {
    const large = 'x'.repeat(5000)
    const bytes = archiveOf(
      { name: './a', content: content('one') },
      { name: 'folder/', type: '5' },
      { name: 'empty' },
      { name: 'b', content: content(large), type: '\0', magic: '' },
    )
    expect(await readAll(bytes, lengths)).toEqual([
      ['a', 'one'],
      ['empty', ''],
      ['b', large],
    ])
  })

  test('reads names as UTF-8 where they are', async () => {
    const utf8 = Buffer.from('größe.vmdk').toString('latin1')
    const bytes = archiveOf({ name: utf8 }, { name: 'gr\xf6\xdfe' })
    expect(await readAll(bytes)).toEqual([
      ['größe.vmdk', ''],
      ['gr\xf6\xdfe', ''],
    ])
  })

  test('takes names and sizes that stand before an entry, and only for the next', async () => {
    const bytes = Buffer.concat([
      tarEntry({ name: 'PaxHeader/x', type: 'x', content: content('13 path=long\n') }),
      tarEntry({ name: 'short', content: content('1') }),
      tarEntry({ name: '././@LongLink', type: 'L', content: content(`${'l'.repeat(200)}\0`) }),
      tarEntry({ name: 'l', content: content('2') }),
      tarEntry({ name: 'g', type: 'g', content: content('15 comment=abc\n') }),
      tarEntry({ name: 'plain', content: content('3') }),
      endMark,
    ])
    expect(await readAll(bytes)).toEqual([
      ['long', '1'],
      ['l'.repeat(200), '2'],
      ['plain', '3'],
    ])
  })

  test('what is not read of an entry is passed over', async () => {
    const bytes = archiveOf({ name: 'a', content: content('one') }, { name: 'b' })
    const reader = createArchiveReader(createForwardReader(cutInChunks(bytes, [600])), 'x')
    await reader.entry()
    await reader.finish()
    expect(await reader.entry()).toEqual({ name: 'b', size: 0 })
    expect(reader.hasEndMark).toBe(false)
    await reader.finish()
    expect(await reader.entry()).toBeUndefined()
    expect(await reader.entry()).toBeUndefined()
    expect(reader.hasEndMark).toBe(true)
  })

  test.each([
    ['a link', archiveOf({ name: 'a', type: '1' }), '"a" is a hard link'],
    ['a sparse file', archiveOf({ name: 'a', type: 'S' }), '"a" is a sparse file of GNU tar'],
    [
      'one name for all',
      archiveOf({ name: 'g', type: 'g', content: content('10 path=x\n') }, { name: 'a' }),
      'gives all entries one name',
    ],
    [
      'a description without end',
      archiveOf({ name: 'x', type: 'x', content: new Uint8Array(70_000) }),
      '"x" has 70000 bytes, the limit is 65536 bytes',
    ],
    ['no end mark', archiveOf({ name: 'a' }).subarray(0, -1024), 'ends without its end mark'],
    ['half an end mark', archiveOf({ name: 'a' }).subarray(0, -512), 'ends without its end mark'],
    ['a cut header', archiveOf({ name: 'a' }).subarray(0, 700), 'ends inside a header'],
    [
      'a cut entry',
      archiveOf({ name: 'a', content: content('x'.repeat(600)) }).subarray(0, 1000),
      'ends inside "a"',
    ],
    [
      'an entry after zeros',
      Buffer.concat([endMark.subarray(512), archiveOf({ name: 'a' })]),
      'two of them end an archive',
    ],
    ['no archive', Buffer.alloc(1024, 'x'), 'the header at 0x0 is none of tar'],
  ])('%s is refused', async (_name, bytes, message) => {
    await expect(readAll(bytes)).rejects.toThrow(message)
  })
})
