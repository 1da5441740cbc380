import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createFileImage, openFileImage } from '../../../src/image/file-image.ts'
import { openFileSpool } from '../../../src/image/spool.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { expectSameBytes, fillPattern, readRange } from '../../support/disks.ts'
import { createTestFolder } from '../../support/tools.ts'

const pattern = new Uint8Array(64 * KiB)
fillPattern(0, pattern)

describe('file image', () => {
  test('closing it while a large write is under way harms nothing', async () => {
    const unhandled: unknown[] = []
    const keep = (error: unknown): void => void unhandled.push(error)
    process.on('unhandledRejection', keep)
    onTestFinished(() => void process.off('unhandledRejection', keep))
    const path = join(await createTestFolder(), 'image')
    const written = await createFileImage(path)
    // Large enough for the storage to be started on it.
    const writing = written.write(0, new Uint8Array(16 * MiB))
    await Promise.all([writing, written.close()])
    await new Promise(setImmediate)
    expect(unhandled).toEqual([])
    expect((await stat(path)).size).toBe(16 * MiB)
  })

  test('what is written reads back, gaps are zeros and holes', async () => {
    const path = join(await createTestFolder(), 'image')
    const written = await createFileImage(path)
    await written.write(4 * MiB, pattern)
    await written.write(0, pattern)
    await written.truncate(8 * MiB)
    await written.sync()
    expect(written.size).toBe(8 * MiB)
    await written.close()

    const image = await openFileImage(path)
    expect(image.size).toBe(8 * MiB)
    expectSameBytes(await readRange(image, 4 * MiB, pattern.length), pattern)
    expectSameBytes(await readRange(image, MiB, 10), new Uint8Array(10))
    const extents = await Array.fromAsync(image.extents!())
    expect(extents.map(({ kind }) => kind)).toEqual(['data', 'hole', 'data', 'hole'])
    expect(extents.map(({ length }) => length)).toEqual([
      64 * KiB,
      4 * MiB - 64 * KiB,
      64 * KiB,
      4 * MiB - 64 * KiB,
    ])
    const inside = await Array.fromAsync(image.extents!({ offset: 4 * MiB + 512, length: 512 }))
    expect(inside).toEqual([{ offset: 4 * MiB + 512, length: 512, kind: 'data' }])
    await image.close()
    await expect(image.close()).resolves.toBeUndefined()
    await expect(image.read(0, new Uint8Array(1))).rejects.toThrow('closed')
  })

  test('a file that is there is not written over', async () => {
    const path = join(await createTestFolder(), 'image')
    const first = await createFileImage(path)
    await first.close()
    await expect(createFileImage(path)).rejects.toMatchObject({ code: 'EEXIST' })
  })

  test('close waits for the reads under way', async () => {
    const path = join(await createTestFolder(), 'image')
    const file = await createFileImage(path)
    await file.write(0, pattern)
    const reads = Array.from({ length: 20 }, () => readRange(file, 0, pattern.length))
    await file.close()
    for (const read of await Promise.all(reads)) expectSameBytes(read, pattern)
  })

  test('a file that shrank under us is an error with numbers, not zeros', async () => {
    const path = join(await createTestFolder(), 'image')
    const file = await createFileImage(path)
    await file.write(0, pattern)
    await file.close()
    const image = await openFileImage(path)
    const handle = await open(path, 'r+')
    await handle.truncate(1000)
    await handle.close()
    await expect(readRange(image, 0, 2000)).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      message: expect.stringContaining('ends at 1000'),
    })
    await image.close()
  })

  test('a spool gives back what it took and leaves no name behind', async () => {
    const path = join(await createTestFolder(), 'spool')
    const spool = await openFileSpool(path)
    expect(await spool.append(pattern.subarray(0, 100))).toBe(0)
    expect(await spool.append(pattern)).toBe(100)
    const target = new Uint8Array(pattern.length)
    await spool.read(100, target)
    expectSameBytes(target, pattern)
    await expect(open(path)).rejects.toMatchObject({ code: 'ENOENT' })
    await spool.close()
  })
})
