// Compressed QCOW2 that diskport made: clean for `qemu-img check`, of the same content for
// `qemu-img compare`, for libqcow and for our own readers.

import { createWriteStream } from 'node:fs'
import { open, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, test } from 'vitest'
import type { Disk } from '../../src/disk/disk.ts'
import type { ImageIdentity, PlanOptions } from '../../src/formats/format.ts'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { GiB, KiB, MAXIMUM_DISK_SIZE, MiB, SECTOR_SIZE } from '../../src/units.ts'
import { testIdentity } from '../laws/format-laws.ts'
import type { ContentPart } from '../support/content-disk.ts'
import { createContentDisk } from '../support/content-disk.ts'
import { expectSameBytes, readAll } from '../support/disks.ts'
import { hasLibyal, readWithLibyal } from '../support/independent-readers.ts'
import {
  createRaw,
  expectClean,
  expectReadsLikeQemu,
  expectSameDisk,
} from '../support/qcow2-files.ts'
import { createTestFolder, hasTool, qemuImg } from '../support/tools.ts'

const cluster = 64 * KiB

const disks: Record<string, readonly ContentPart[]> = {
  'text and noise in turns': Array.from({ length: 40 }, (_, index): ContentPart => {
    return [index % 2 === 0 ? 'text' : 'random', cluster]
  }),
  mixed: [
    ['text', 300 * KiB],
    ['hole', 2 * MiB],
    ['random', 3 * MiB + SECTOR_SIZE],
    ['zeros', 5 * MiB],
    ['zero', MiB],
    ['text', 2 * MiB - SECTOR_SIZE],
  ],
  empty: [['hole', 5 * MiB]],
  'zeros all through': [['zeros', 5 * MiB]],
  'noise all through': [['random', 5 * MiB]],
  'one sector': [['text', SECTOR_SIZE]],
  'two L2 tables, and a third of zeros': [
    ['random', 100 * KiB],
    ['hole', 512 * MiB - 100 * KiB],
    ['text', SECTOR_SIZE],
    ['hole', 512 * MiB - SECTOR_SIZE],
    ['zeros', cluster],
  ],
}

const encodeTo = async (
  path: string,
  disk: Disk,
  options: PlanOptions,
  identity: ImageIdentity = testIdentity,
): Promise<void> =>
  pipeline(Readable.from(qcow2.encode!(disk, identity, options)), createWriteStream(path))

const writeRaw = async (disk: Disk, path: string): Promise<string> => {
  const file = await open(path, 'w')
  await file.truncate(disk.size)
  for await (const { offset, length, kind } of disk.extents()) {
    if (kind !== 'data') continue
    const bytes = new Uint8Array(length)
    await disk.read(offset, bytes)
    await file.write(bytes, 0, length, offset)
  }
  await file.close()
  return path
}

describe.skipIf(!hasTool('qemu-img'))('compressed qcow2 that diskport made', () => {
  describe.each(['zlib', 'zstd'])('%s', (compression) => {
    test.each(Object.entries(disks))('%s: clean, and of the same content', async (_, parts) => {
      const folder = await createTestFolder()
      const disk = createContentDisk(parts)
      const source = await writeRaw(disk, join(folder, 'source.raw'))
      const path = join(folder, 'image.qcow2')
      await encodeTo(path, disk, { compression })
      await expectClean(path)
      await expectSameDisk(path, source)
      if (disk.size < GiB) await expectReadsLikeQemu(path)
      const { stdout } = await qemuImg('info', '--output=json', path)
      const info = JSON.parse(stdout) as { 'format-specific': { data: object } }
      expect(info['format-specific'].data).toMatchObject({ 'compression-type': compression })
    })

    test('is as small as what qemu-img makes, and twice the same', async () => {
      const folder = await createTestFolder()
      const source = await createRaw(join(folder, 'source.raw'), [['data', 20 * MiB]])
      const disk = () => createContentDisk([['text', 20 * MiB]])
      const [path, again, theirs] = ['a', 'b', 'c'].map((name) => join(folder, name))
      await encodeTo(path!, disk(), { compression })
      await encodeTo(again!, disk(), { compression })
      const options = ['-c', '-o', `compression_type=${compression}`]
      await qemuImg('convert', ...options, '-f', 'raw', '-O', 'qcow2', source, theirs!)
      expect((await stat(path!)).size).toBeLessThan(1.1 * (await stat(theirs!)).size + 4 * cluster)
      const [first, second] = [path!, again!].map((each) => readFile(each))
      expectSameBytes(await first!, await second!)
    })

    test('the largest disk there may be, with a little data', async () => {
      const path = join(await createTestFolder(), 'image.qcow2')
      const disk = createContentDisk([
        ['text', 100 * KiB],
        ['hole', MAXIMUM_DISK_SIZE - 200 * KiB],
        ['random', 100 * KiB],
      ])
      await encodeTo(path, disk, { compression })
      await expectClean(path)
      expect((await stat(path)).size).toBeLessThan(2 * MiB)
    })

    test.each(['compatible', 'compact'] as const)('a %s delta reads on its base', async (delta) => {
      const folder = await createTestFolder()
      const base = { uuid: 'base', timestamp: testIdentity.timestamp }
      const whole = createContentDisk([
        ['text', 2 * MiB],
        ['random', 8 * MiB],
      ])
      const basePath = join(folder, 'base.raw')
      await writeRaw(whole, basePath)
      // What has become zero hides what the base holds, and reads right where nothing changed.
      const disk = createContentDisk([
        ['zeros', cluster],
        ['zero', 3 * MiB],
        ['random', 3 * MiB - cluster],
        ['text', 4 * MiB],
      ])
      const source = await writeRaw(disk, join(folder, 'changed.raw'))
      const path = join(folder, 'delta.qcow2')
      await encodeTo(path, disk, { compression, delta }, { ...testIdentity, base })
      await qemuImg('rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', basePath, path)
      await expectClean(path)
      await expectSameDisk(path, source)
    })
  })

  test.skipIf(!hasLibyal())('libqcow reads zlib', async () => {
    const path = join(await createTestFolder(), 'image.qcow2')
    const disk = createContentDisk(disks['mixed']!)
    await encodeTo(path, disk, { compression: 'zlib' })
    expectSameBytes(await readWithLibyal('qcow2', path), await readAll(disk))
  })
})

test('a disk that changes between the two readings is an error, and no image', async () => {
  const disk = createContentDisk([['text', 4 * MiB]])
  let reads = 0
  const changing: Disk = {
    ...disk,
    async read(offset, target, signal) {
      await disk.read(offset, target, signal)
      if ((reads += 1) > 20) target.fill(7, 0, target.length - 1)
    },
  }
  const path = join(await createTestFolder(), 'image.qcow2')
  await expect(encodeTo(path, changing, { compression: 'zlib' })).rejects.toThrow(
    'Cannot compress qcow2: the disk changed while it was read',
  )
})
