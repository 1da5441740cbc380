import { open, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openFileImage } from '../../../../src/image/file-image.ts'
import { padToSectors } from '../../../../src/image/padded-image.ts'
import { changesBetween, takeStamp } from '../../../../src/store/files/file-stamp.ts'
import { watchImage } from '../../../../src/store/files/watch-image.ts'
import { KiB, MiB } from '../../../../src/units.ts'
import { createRawSource } from '../../../support/sources.ts'
import { createTestFolder, run } from '../../../support/tools.ts'

const openNew = async (
  size: number,
  parts: readonly (readonly [number, number])[] = [[0, size]],
) => {
  const path = await createRawSource(await createTestFolder(), 'file', { size, parts })
  await utimes(path, 1000, 1000)
  const image = await openFileImage(path)
  onTestFinished(() => image.close())
  return { path, image }
}

/** Writes one byte and sets the time back: only the content tells. */
const writeUnseen = async (path: string, offset: number): Promise<void> => {
  await using file = await open(path, 'r+')
  await file.write(Buffer.from([0xff]), 0, 1, offset)
  await utimes(path, 1000, 1000)
}

describe('stamps', () => {
  test('nothing has changed where nothing was done', async () => {
    const { image } = await openNew(10_000)
    expect(changesBetween(await takeStamp(image), await takeStamp(image))).toBe(undefined)
  })

  test.each([
    ['the first byte', 0],
    ['the end of the first 4 KiB', 4 * KiB - 1],
    ['the last 512 bytes', 10_000 - 512],
  ])('%s tells, though size and time are as they were', async (_name, offset) => {
    const { path, image } = await openNew(10_000)
    const before = await takeStamp(image)
    await writeUnseen(path, offset)
    expect(changesBetween(before, await takeStamp(image))).toBe(
      'its first or last bytes are others',
    )
  })

  test('time, size and number tell', async () => {
    const { path, image } = await openNew(10_000)
    const before = await takeStamp(image)
    await utimes(path, 1001, 1001.5)
    expect(changesBetween(before, await takeStamp(image))).toBe(
      'it was last written at 1970-01-01T00:16:40.000000000Z and again at 1970-01-01T00:16:41.500000000Z',
    )
    await writeFile(path, '')
    expect(changesBetween(before, await takeStamp(image))).toMatch(
      /^its size was 10000 bytes and is 0, /,
    )
    const copy = join(path, '..', 'copy')
    await run('cp', ['-p', path, copy])
    const other = await openFileImage(copy)
    expect(changesBetween(await takeStamp(image), await takeStamp(other))).toContain('another file')
    await other.close()
  })
})

describe('watched images', () => {
  test('a change shows after 32 MiB at the latest', async () => {
    const { path, image } = await openNew(100 * MiB, [])
    const watched = watchImage(image, 'disk.raw', await takeStamp(image))
    const piece = new Uint8Array(MiB)
    const readUntilSeen = async (): Promise<number> => {
      for (let pieces = 0; pieces < 100; pieces += 1) {
        const failed = await watched.image
          .read(pieces * MiB, piece)
          .catch((error: unknown) => error)
        if (failed !== undefined) return pieces
      }
      return 100
    }
    expect(await readUntilSeen()).toBe(100)
    await writeUnseen(path, 0)
    expect(await readUntilSeen()).toBeLessThan(32)
    await expect(watched.verify()).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      message: 'The file disk.raw was changed by somebody else: its first or last bytes are others',
    })
  })
})

describe('padded images', () => {
  test('the rest of the last sector is zeros, and extents cover it', async () => {
    const { image } = await openNew(65_536 + 100, [[65_536, 100]])
    const padded = padToSectors(image)
    expect(padded.size).toBe(65_536 + 512)
    const bytes = new Uint8Array(600).fill(7)
    await padded.read(65_536 - 88, bytes)
    expect([...bytes.subarray(0, 88), ...bytes.subarray(188)].every((byte) => byte === 0)).toBe(
      true,
    )
    expect(bytes.subarray(88, 188).every((byte) => byte === 7)).toBe(false)
    expect(await Array.fromAsync(padded.extents!())).toEqual([
      { offset: 0, length: 65_536, kind: 'hole' },
      { offset: 65_536, length: 512, kind: 'data' },
    ])
    expect(await Array.fromAsync(padded.extents!({ offset: 65_600, length: 100 }))).toEqual([
      { offset: 65_600, length: 100, kind: 'data' },
    ])
    await expect(padded.read(65_536, new Uint8Array(513))).rejects.toThrow(RangeError)
  })

  test('whole sectors are left as they are', async () => {
    const { image } = await openNew(1024)
    expect(padToSectors(image)).toBe(image)
  })
})
