// Compressed clusters that come before their tables, are damaged, cut off or lie: read right, or
// refused by what is wrong.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deflateRawSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { defaultLimits } from '../../src/formats/qcow2/stream/decode-limits.ts'
import { viewOf } from '../../src/image/binary.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { KiB, MiB } from '../../src/units.ts'
import { readAll } from '../support/disks.ts'
import { decodeWatched } from '../support/qcow2-decode.ts'
import { createRaw } from '../support/qcow2-files.ts'
import { firstTable, tablesLast } from '../support/qcow2-tables-last.ts'
import { createTestFolder, hasTool, qemuImg } from '../support/tools.ts'

const clusterSize = 64 * KiB

const compressed = 1n << 62n

const make = async (type: string, size = 4 * MiB) => {
  const folder = await createTestFolder()
  const raw = await createRaw(join(folder, 'a.raw'), [
    ['data', size - MiB],
    ['hole', MiB],
  ])
  const path = join(folder, 'a.qcow2')
  const options = ['-o', `compression_type=${type}`]
  await qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', ...options, raw, path)
  return { bytes: new Uint8Array(await readFile(path)), content: await readFile(raw) }
}

/** Where the compressed cluster of an L2 entry lies. */
const spanOf = (bytes: Uint8Array, entry: number): number =>
  Number(viewOf(bytes).getBigUint64(firstTable(bytes) + entry * 8) & ((1n << 54n) - 1n))

const expectRefusedBoth = async (bytes: Uint8Array, expected: RegExp): Promise<void> => {
  const readStream = decodeWatched(bytes, bytes.length)
  await expect(readStream).rejects.toMatchObject({ message: expect.stringMatching(expected) })
  const read = async () => readAll(await qcow2.open(createMemoryImage(bytes)))
  await expect(read()).rejects.toMatchObject({ message: expect.stringMatching(expected) })
}

describe.skipIf(!hasTool('qemu-img')).each(['zlib', 'zstd'])('compressed by %s', (type) => {
  test.each<[string, object]>([
    ['in memory', {}],
    ['in a spool', { parkedBytes: 4096, gatheredBytes: 4096 }],
    ['with no run that is remembered', { parkedRuns: 1 }],
    ['with L2 tables put off', { awaitedRuns: 0 }],
  ])('clusters before their tables wait %s', async (_name, limits) => {
    const { bytes, content } = await make(type)
    const image = tablesLast(bytes)
    for (const length of [image.length, undefined]) {
      const decoded = await decodeWatched(image, length, { ...defaultLimits, ...limits })
      expect(Buffer.compare(await readAll(decoded.disk), content)).toBe(0)
    }
    const atRest = await qcow2.open(createMemoryImage(image))
    expect(Buffer.compare(await readAll(atRest), content)).toBe(0)
  })

  test('a damaged cluster is named by its place on the disk', async () => {
    const { bytes } = await make(type)
    bytes.fill(0xff, spanOf(bytes, 5), spanOf(bytes, 5) + 64)
    await expectRefusedBoth(
      bytes,
      /compressed cluster of guest offset 0x50000 at 0x[0-9a-f]+ cannot be/,
    )
  })

  test('an image that is cut within a cluster is cut', async () => {
    const { bytes } = await make(type)
    const cut = bytes.subarray(0, spanOf(bytes, 40) + 600)
    await expect(decodeWatched(cut, undefined)).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
  })

  test('two clusters that begin at one byte are refused', async () => {
    const { bytes } = await make(type)
    const view = viewOf(bytes)
    const table = firstTable(bytes)
    view.setBigUint64(table + 6 * 8, view.getBigUint64(table + 5 * 8))
    await expect(decodeWatched(bytes, bytes.length)).rejects.toMatchObject({
      message: expect.stringMatching(/lies at 0x[0-9a-f]+, which something else uses too/),
    })
  })

  test.each([
    ['more than a cluster', clusterSize + 1, /larger|exceeded|Cannot create/],
    ['less than a cluster', clusterSize - 512, /holds 65024 bytes, a cluster has 65536/],
  ])('one that holds %s is refused', async (_name, length, expected) => {
    const { bytes } = await make(type)
    const content = Buffer.alloc(length)
    const packed = type === 'zlib' ? deflateRawSync(content) : zstdCompressSync(content)
    const at = spanOf(bytes, 3)
    bytes.set(packed, at)
    const sectors = BigInt(Math.ceil(((at % 512) + packed.length) / 512) - 1)
    const entry = compressed | (sectors << 54n) | BigInt(at)
    viewOf(bytes).setBigUint64(firstTable(bytes) + 3 * 8, entry)
    await expectRefusedBoth(bytes, expected)
  })
})
