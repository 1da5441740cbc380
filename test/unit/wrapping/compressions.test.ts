// Streams that the real compressors write, whole, in several members, cut and broken.

import { randomBytes } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import type { CompressionName } from '../../../src/formats/known-forms.ts'
import {
  compressionOf,
  compressionOfCoding,
  compressions,
} from '../../../src/wrapping/compressions.ts'
import { cutInChunks } from '../../support/disks.ts'
import { hasTool } from '../../support/tools.ts'

const content = Buffer.concat([
  randomBytes(300_000),
  Buffer.alloc(3_000_000),
  Buffer.from('guest bytes '.repeat(30_000)),
  randomBytes(1),
])

const compress = (command: string, bytes: Uint8Array = content): Buffer =>
  execFileSync('sh', ['-c', command], { input: bytes, maxBuffer: 64 << 20 })

const collect = async (
  name: CompressionName,
  bytes: Uint8Array,
  chunks: readonly number[] = [64 * 1024],
): Promise<Buffer> => {
  const parts: Uint8Array[] = []
  for await (const part of compressionOf(name).decompress(cutInChunks(bytes, chunks))) {
    parts.push(Buffer.from(part))
  }
  return Buffer.concat(parts)
}

const commands: [CompressionName, string][] = [
  ['gzip', 'gzip -c'],
  ['gzip', 'gzip -1 -c'],
  ['xz', 'xz -c'],
  ['xz', 'xz -9 -c'],
  ['xz', 'xz -T2 --block-size=1MiB -c'],
  ['xz', 'xz --check=crc32 -1 -c'],
  ['zstd', 'zstd -q -c'],
  ['zstd', 'zstd -q --no-check -1 -c'],
  ['zstd', 'zstd -q -19 --long=27 -c'],
  ['zstd', 'zstd -q --ultra -22 -c'],
  ['bzip2', 'bzip2 -c'],
  ['bzip2', 'bzip2 -1 -c'],
]

const tools = ['gzip', 'xz', 'zstd', 'bzip2'] as const
const plain: [CompressionName, string][] = tools.map((name) => [name, `${name} -c`])

const isMissing = tools.some((tool) => !hasTool(tool))

describe.skipIf(isMissing)('what compressors write', () => {
  test.each(commands)('%s: %s comes out as it went in', async (name, command) => {
    const bytes = compress(command)
    for (const chunks of [[bytes.length], [64 * 1024], [1, 511, 70_000]]) {
      expect((await collect(name, bytes, chunks)).equals(content)).toBe(true)
    }
  })

  test.each(plain)('%s: several members are one stream', async (name, command) => {
    const bytes = Buffer.concat([
      compress(command, content.subarray(0, 1000)),
      compress(command, content.subarray(1000, 1001)),
      compress(command, Buffer.alloc(0)),
      compress(command, content.subarray(1001)),
    ])
    for (const chunks of [[bytes.length], [300], [64 * 1024]]) {
      expect((await collect(name, bytes, chunks)).equals(content)).toBe(true)
    }
  })

  test.each(plain)('%s: a stream that is cut is not taken as whole', async (name, command) => {
    const bytes = compress(command)
    const cuts = [5, 20, Math.floor(bytes.length / 2), bytes.length - 9, bytes.length - 1]
    for (const cut of cuts) {
      await expect(collect(name, bytes.subarray(0, cut)), `cut at ${cut}`).rejects.toMatchObject({
        code: 'VDI_IO_ERROR',
        message: expect.stringMatching(`Cannot decompress ${name}`) as unknown,
      })
    }
  })

  test.each(plain)('%s: what is broken is refused', async (name, command) => {
    const bytes = compress(command)
    bytes[100_000]! ^= 0x10
    await expect(collect(name, bytes)).rejects.toMatchObject({
      code: 'IMPORT_ERROR_GENERIC',
      message: expect.stringMatching(`Cannot decompress ${name}: `) as unknown,
    })
  })

  test.each(plain)('%s: what follows and is none of it is refused', async (name, command) => {
    const bytes = Buffer.concat([compress(command), Buffer.from('and something else')])
    await expect(collect(name, bytes)).rejects.toMatchObject({ code: 'IMPORT_ERROR_GENERIC' })
  })

  test.each(plain)('%s: a source that fails is told as it was', async (name, command) => {
    const bytes = compress(command)
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 1000)
      throw new AppError('VDI_IO_ERROR', ['the cable was pulled'])
    }
    const read = async (): Promise<void> => {
      for await (const part of compressionOf(name).decompress(failing())) void part
    }
    await expect(read()).rejects.toThrow('the cable was pulled')
  })

  test.each(plain)('%s: who leaves early closes the source', async (name, command) => {
    let isClosed = false
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield compress(command)
      } finally {
        isClosed = true
      }
    }
    for await (const part of compressionOf(name).decompress(endless())) {
      void part
      break
    }
    await expect.poll(() => isClosed).toBe(true)
  })
})

describe.skipIf(isMissing)('limits', () => {
  test('zstd: skippable frames hold nothing', async () => {
    const frame = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
    const bytes = Buffer.concat([frame, compress('zstd -q -c'), frame])
    expect((await collect('zstd', bytes, [7, 100_000])).equals(content)).toBe(true)
  })

  test('zstd: a window of more than 128 MiB is refused', async () => {
    const bytes = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 1, 0, 0])
    await expect(collect('zstd', bytes)).rejects.toThrow(
      'it needs a window of 1024 MiB, 128 are given: compress it without --long',
    )
  })

  test('zstd: a dictionary is refused', async () => {
    const bytes = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x58, 0x07, 1, 0, 0])
    await expect(collect('zstd', bytes)).rejects.toThrow('compressed with a dictionary')
  })

  test('zstd: a block that claims more than 128 KiB is refused', async () => {
    const bytes = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0xfd, 0xff, 0xff])
    await expect(collect('zstd', bytes)).rejects.toThrow('of type 2, size 2097151')
  })

  test('xz: a dictionary of more than 64 MiB is refused', async () => {
    const bytes = compress('xz --lzma2=dict=256MiB -c')
    await expect(collect('xz', bytes)).rejects.toThrow('a dictionary of more than 64 MiB')
  })

  test('xz: a check that is not known is refused, with a way around', async () => {
    const bytes = compress('xz --check=sha256 -c')
    await expect(collect('xz', bytes)).rejects.toThrow('xz -dc FILE | curl -T -')
  })

  test.each(['xz', 'bzip2'] as const)('%s: an abort ends the wait', async (name) => {
    const abort = new AbortController()
    const source = cutInChunks(compress(`${name} -c`), [1000])
    const read = async (): Promise<void> => {
      for await (const part of compressionOf(name).decompress(source, abort.signal)) {
        void part
        abort.abort(new AppError('TASK_CANCELLED', []))
      }
    }
    await expect(read()).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
  })
})

test('codings are found in any case', () => {
  for (const compression of compressions) {
    for (const coding of compression.codings) {
      expect(compressionOfCoding(coding.toUpperCase())).toBe(compression)
    }
  }
  expect(compressionOfCoding('br')).toBeUndefined()
})
