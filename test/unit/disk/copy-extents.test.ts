import { describe, expect, test } from 'vitest'
import type { CopySource } from '../../../src/disk/copy-extents.ts'
import { copyExtents } from '../../../src/disk/copy-extents.ts'
import type { DiskWriter } from '../../../src/disk/disk.ts'
import { createMemoryDisk } from '../../../src/disk/memory-disk.ts'
import { createBufferPool } from '../../../src/image/buffer-pool.ts'
import { KiB, MiB } from '../../../src/units.ts'
import {
  createPatternDisk,
  createRecordingDisk,
  expectSameBytes,
  listExtents,
  readAll,
} from '../../support/disks.ts'

const size = 16 * MiB

const copy = async (
  source: CopySource,
  writer: DiskWriter,
  {
    count = 2,
    signal = new AbortController().signal,
    beforePiece = (_bytes: number): Promise<void> | undefined => undefined,
    onProgress = (_bytes: number): void => {},
  } = {},
): Promise<void> => {
  const buffers = createBufferPool(count, MiB)
  await copyExtents(source, writer, { buffers, signal, beforePiece, onProgress })
  buffers.close()
}

const full = () => createRecordingDisk(createPatternDisk([['data', size]]))

describe('copyExtents', () => {
  test('copies data and zeros and leaves holes, in pieces cut at whole MiB', async () => {
    const { disk, reads } = createRecordingDisk(
      createPatternDisk([
        ['hole', 64 * KiB],
        ['data', 2 * MiB],
        ['zero', MiB],
        ['hole', MiB],
        ['data', 512],
      ]),
    )
    const target = createMemoryDisk(disk.size)
    const waited: number[] = []
    let progress = 0
    await copy(disk, target, {
      beforePiece: async (bytes) => void waited.push(bytes),
      onProgress: (bytes) => (progress += bytes),
    })
    expect(await listExtents(target)).toEqual(await listExtents(disk))
    expect(reads).toEqual([
      { offset: 64 * KiB, length: 960 * KiB },
      { offset: MiB, length: MiB },
      { offset: 2 * MiB, length: 64 * KiB },
      { offset: 4 * MiB + 64 * KiB, length: 512 },
    ])
    expect(waited).toEqual(reads.map(({ length }) => length))
    expect(progress).toBe(2 * MiB + 512)
    expectSameBytes(await readAll(target), await readAll(disk))
  })

  test('has as many pieces under way as there are buffers', async () => {
    const { disk, reads } = full()
    const held = Promise.withResolvers<void>()
    const all = Promise.withResolvers<void>()
    let writes = 0
    const writer: DiskWriter = {
      size,
      async write() {
        writes += 1
        if (writes === 3) all.resolve()
        await held.promise
      },
      async zero() {},
    }
    const copying = copy(disk, writer, { count: 3 })
    await all.promise
    expect([writes, reads.length]).toEqual([3, 3])
    held.resolve()
    await copying
    expect(writes).toBe(16)
  })

  test('an abort ends it before the next piece is read', async () => {
    const { disk, reads } = full()
    const abort = new AbortController()
    const beforePiece = (): undefined => {
      if (reads.length === 5) abort.abort()
    }
    const copying = copy(disk, createMemoryDisk(size), { signal: abort.signal, beforePiece })
    await expect(copying).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    expect(reads).toHaveLength(5)
  })

  test('an abort while the last piece is stored fails it too', async () => {
    const abort = new AbortController()
    const writer: DiskWriter = { size, write: async () => abort.abort(), async zero() {} }
    const source = createPatternDisk([['data', 512]])
    await expect(copy(source, writer, { signal: abort.signal })).rejects.toMatchObject({
      code: 'TASK_CANCELLED',
    })
  })

  test('the first failure is thrown when what is under way has ended', async () => {
    const { disk, reads } = full()
    const slow = Promise.withResolvers<void>()
    const events: string[] = []
    const writer: DiskWriter = {
      size,
      async write(offset) {
        if (offset === 0) {
          await slow.promise
          events.push('slow write ended')
          return
        }
        setImmediate(slow.resolve)
        throw new Error('the storage is full')
      },
      async zero() {},
    }
    await copy(disk, writer).catch((error: unknown) => events.push((error as Error).message))
    expect(events).toEqual(['slow write ended', 'the storage is full'])
    expect(reads).toHaveLength(2)
  })
})
