import { describe, expect, test } from 'vitest'
import { clipWrites } from '../../../src/disk/clip-writes.ts'
import { copyWrites } from '../../../src/disk/copy-writes.ts'
import type { DiskWrite, DiskWriter } from '../../../src/disk/disk.ts'
import { createMemoryDisk } from '../../../src/disk/memory-disk.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { fillPattern, listExtents } from '../../support/disks.ts'

async function* of(...writes: DiskWrite[]): AsyncGenerator<DiskWrite> {
  yield* writes
}

const patterned = (length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  fillPattern(0, bytes)
  return bytes
}

describe('copyWrites', () => {
  test('aligned blocks of zeros inside data are not stored as data', async () => {
    const disk = createMemoryDisk(MiB)
    const bytes = patterned(512 * KiB)
    bytes.fill(0, 100 * KiB, 300 * KiB)
    await copyWrites(of({ kind: 'data', offset: 32 * KiB, bytes }), disk)
    expect((await listExtents(disk)).map(({ offset, kind }) => [offset / KiB, kind])).toEqual([
      [0, 'hole'],
      [32, 'data'],
      [192, 'zero'],
      [320, 'data'],
      [544, 'hole'],
    ])
  })

  test('every buffer is released once, and progress is told', async () => {
    let released = 0
    let told = 0
    const write = (offset: number): DiskWrite => ({
      kind: 'data',
      offset,
      bytes: patterned(4096),
      release: () => (released += 1),
    })
    await copyWrites(
      of(write(0), write(8192), { kind: 'zero', offset: 4096, length: 512 }),
      createMemoryDisk(MiB),
      {
        onProgress: (bytes) => (told += bytes),
      },
    )
    expect([released, told]).toEqual([2, 8704])
  })

  test('the first failure is thrown, after the writes under way have ended', async () => {
    const slow = Promise.withResolvers<void>()
    const events: string[] = []
    const writer: DiskWriter = {
      size: MiB,
      async write(offset) {
        if (offset === 0) {
          await slow.promise
          events.push('slow write ended')
          return
        }
        slow.resolve()
        throw new Error('the disk is broken')
      },
      async zero() {},
    }
    const data = (offset: number): DiskWrite => ({ kind: 'data', offset, bytes: patterned(512) })
    const copying = copyWrites(of(data(0), data(512), data(1024)), writer)
    await expect(copying.finally(() => events.push('copy ended'))).rejects.toThrow('is broken')
    expect(events).toEqual(['slow write ended', 'copy ended'])
  })

  test('no more bytes are under way than the window allows', async () => {
    let running = 0
    let most = 0
    const writer: DiskWriter = {
      size: 64 * MiB,
      async write(_offset, source) {
        running += source.length
        most = Math.max(most, running)
        await new Promise((resolve) => setImmediate(resolve))
        running -= source.length
      },
      async zero() {},
    }
    async function* many(): AsyncGenerator<DiskWrite> {
      for (let index = 0; index < 64; index += 1) {
        yield { kind: 'data', offset: index * MiB, bytes: patterned(MiB) }
      }
    }
    await copyWrites(many(), writer)
    expect(most).toBe(4 * MiB)
  })

  test('an abort stops the copy', async () => {
    const signal = AbortSignal.abort()
    const copying = copyWrites(
      of({ kind: 'zero', offset: 0, length: 512 }),
      createMemoryDisk(512),
      { signal },
    )
    await expect(copying).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
  })
})

describe('clipWrites', () => {
  const clip = (...writes: DiskWrite[]) => Array.fromAsync(clipWrites(of(...writes), 1024))

  test('what lies inside passes, what lies beyond is cut if it is zeros', async () => {
    let released = 0
    const release = (): number => (released += 1)
    const clipped = await clip(
      { kind: 'zero', offset: 512, length: 1024 },
      { kind: 'data', offset: 0, bytes: patterned(1024) },
      { kind: 'data', offset: 512, bytes: new Uint8Array(2048) },
      { kind: 'data', offset: 1024, bytes: new Uint8Array(512), release },
      { kind: 'zero', offset: 1024, length: 512 },
    )
    expect(clipped.map((write) => [write.kind, write.offset])).toEqual([
      ['zero', 512],
      ['data', 0],
      ['data', 512],
    ])
    expect(clipped[0]).toMatchObject({ length: 512 })
    expect(released).toBe(1)
  })

  test('a byte beyond the end is refused with the place', async () => {
    const bytes = new Uint8Array(1024)
    bytes[700] = 1
    await expect(clip({ kind: 'data', offset: 512, bytes })).rejects.toMatchObject({
      code: 'IMPORT_ERROR_GENERIC',
      message: expect.stringContaining('data at 1024'),
    })
  })
})
