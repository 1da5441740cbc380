// Both ways against qemu-img, on content. Its vpc driver knows no backing files and reads each
// block as complete, so it says nothing about deltas: those are checked by test/unit and
// test/property.

import { createReadStream } from 'node:fs'
import { open, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Disk } from '../../src/disk/disk.ts'
import { createMemoryDisk } from '../../src/disk/memory-disk.ts'
import { copyWrites } from '../../src/disk/copy-writes.ts'
import { vhd } from '../../src/formats/vhd/vhd.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { createFileImage, openFileImage } from '../../src/image/file-image.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import type { Image } from '../../src/image/image.ts'
import { GiB, KiB, MiB } from '../../src/units.ts'
import { testIdentity, writeDisk } from '../laws/format-laws.ts'
import type { PatternPart } from '../support/disks.ts'
import { createPatternDisk, expectSameBytes, listExtents, readAll } from '../support/disks.ts'
import { createTestFolder, hasTool, qemuImg, run } from '../support/tools.ts'

const sources: Record<string, readonly PatternPart[]> = {
  empty: [['hole', 20 * MiB]],
  full: [['data', 9 * MiB]],
  'a sector more than blocks': [
    ['hole', 3 * MiB],
    ['data', 3 * MiB + 512],
  ],
  'a sector less than blocks': [
    ['data', 5 * MiB],
    ['hole', 5 * MiB - 512],
  ],
  'half a block and a sector': [['data', MiB + 512]],
  'a block less a sector': [['data', 2 * MiB - 512]],
  'a block and a half': [['data', 3 * MiB]],
  'the last sector alone': [
    ['hole', 20 * MiB - 512],
    ['data', 512],
  ],
  scattered: Array.from({ length: 14 }, (_, index): PatternPart[] => [
    ['hole', ((index * 7919) % 900) * 4096],
    ['data', (1 + ((index * 104_729) % 700)) * 512],
  ]).flat(),
}

/** The pattern disk as a raw file. */
const writeRaw = async (parts: readonly PatternPart[], path: string): Promise<Disk> => {
  const disk = createPatternDisk(parts)
  await writeFile(path, await readAll(disk))
  return disk
}

const writeImage = async (image: Image, path: string): Promise<void> => {
  const file = await open(path, 'wx')
  const piece = new Uint8Array(MiB)
  for (let offset = 0; offset < image.size; offset += piece.length) {
    const part = piece.subarray(0, image.size - offset)
    await image.read(offset, part)
    await file.write(part, 0, part.length, offset)
  }
  await file.close()
}

/** Decodes a file as an upload of known length. */
const decodeFile = async (path: string): Promise<Disk> => {
  const { size } = await stat(path)
  const decoded = await vhd.decode(createForwardReader(createReadStream(path)), {
    buffers: createBufferPool(4, MiB),
    openSpool: () => Promise.reject(new Error('A VHD needs no spool')),
    streamLength: size,
  })
  const disk = createMemoryDisk(decoded.virtualSize)
  await copyWrites(decoded.writes(), disk)
  return disk
}

interface ImageInfo {
  readonly format: string
  readonly 'virtual-size': number
}

const infoOf = async (path: string): Promise<ImageInfo> =>
  JSON.parse((await qemuImg('info', '--output=json', '-f', 'vpc', path)).stdout) as ImageInfo

/** `disk` holds the bytes of `source`, then zeros: sizes are rounded up to whole cylinders. */
const expectSource = async (disk: Disk, source: Disk, label: string): Promise<void> => {
  expect(disk.size).toBeGreaterThanOrEqual(source.size)
  const padded = new Uint8Array(disk.size)
  padded.set(await readAll(source))
  expectSameBytes(await readAll(disk), padded, label)
}

/** The smallest geometry of 4 heads and 17 sectors that holds a small disk. */
const roundedSize = (size: number): number => {
  const cylinder = 4 * 17 * 512
  return Math.ceil(size / cylinder) * cylinder
}

describe.skipIf(!hasTool('qemu-img'))('what qemu-img writes', () => {
  for (const [name, parts] of Object.entries(sources)) {
    for (const subformat of ['dynamic', 'fixed']) {
      for (const force of ['on', 'off']) {
        test(`${name}, ${subformat}, force_size ${force}: opens and decodes`, async () => {
          const folder = await createTestFolder()
          const [raw, image] = [join(folder, 'source.raw'), join(folder, 'image.vhd')]
          const source = await writeRaw(parts, raw)
          const options = `subformat=${subformat},force_size=${force}`
          await qemuImg('convert', '-f', 'raw', '-O', 'vpc', '-o', options, raw, image)

          const size = (await infoOf(image))['virtual-size']
          // Without force_size the size is that of a geometry, rounded up.
          expect(size).toBe(force === 'on' ? source.size : roundedSize(source.size))
          const opened = await vhd.open(await openFileImage(image))
          expect(opened.size).toBe(size)
          await expectSource(opened, source, 'opened')
          await opened.close()
          const decoded = await decodeFile(image)
          expect(decoded.size).toBe(size)
          await expectSource(decoded, source, 'decoded')
        })
      }
    }
  }

  test.each([
    ['2040G', 2040 * GiB],
    // Above the largest geometry the creator's cylinders no longer count.
    ['128G', 128 * GiB],
  ])('an empty disk of %s opens with that size', async (asked, size) => {
    for (const options of ['force_size=on', 'force_size=off']) {
      const path = join(await createTestFolder(), 'image.vhd')
      await qemuImg('create', '-q', '-f', 'vpc', '-o', options, path, asked)
      const disk = await vhd.open(await openFileImage(path))
      expect(disk.size).toBe((await infoOf(path))['virtual-size'])
      expect(disk.size).toBe(size)
      expect(await listExtents(disk)).toEqual([{ offset: 0, length: size, kind: 'hole' }])
      await disk.close()
    }
  })

  test('a disk that was written to in any order opens right', async () => {
    const folder = await createTestFolder()
    const path = join(folder, 'image.vhd')
    await qemuImg('create', '-q', '-f', 'vpc', '-o', 'force_size=on', path, '20M')
    for (const [offset, byte] of [
      [18 * MiB, 1],
      [4096, 2],
      [6 * MiB - 512, 3],
    ] as const) {
      await run('qemu-io', ['-f', 'vpc', '-c', `write -P ${byte} ${offset} 1024`, path])
    }
    const expected = new Uint8Array(20 * MiB)
    expected.fill(1, 18 * MiB, 18 * MiB + 1024)
    expected.fill(2, 4096, 5120)
    expected.fill(3, 6 * MiB - 512, 6 * MiB + 512)
    const disk = await vhd.open(await openFileImage(path))
    expectSameBytes(await readAll(disk), expected, 'opened')
    await disk.close()
    expectSameBytes(await readAll(await decodeFile(path)), expected, 'decoded')
  })
})

describe.skipIf(!hasTool('qemu-img'))('what is written, qemu-img reads', () => {
  for (const [name, parts] of Object.entries(sources)) {
    for (const subformat of ['dynamic', 'fixed'] as const) {
      test(`${name}: a ${subformat} export`, async () => {
        const folder = await createTestFolder()
        const [raw, image] = [join(folder, 'source.raw'), join(folder, 'image.vhd')]
        const source = await writeRaw(parts, raw)
        await writeImage(await vhd.plan(source, testIdentity, { subformat }), image)
        expect((await infoOf(image))['virtual-size']).toBe(source.size)
        await qemuImg('compare', '-f', 'vpc', '-F', 'raw', image, raw)
        const back = join(folder, 'back.raw')
        await qemuImg('convert', '-f', 'vpc', '-O', 'raw', image, back)
        expectSameBytes(await readFile(back), await readFile(raw))
      })
    }

    test(`${name}: a layer written in any order`, async () => {
      const folder = await createTestFolder()
      const [raw, image] = [join(folder, 'source.raw'), join(folder, 'layer.vhd')]
      const source = await writeRaw(parts, raw)
      const file = await createFileImage(image)
      const { uuid, timestamp } = testIdentity
      const layer = await vhd.createLayer(file, { size: source.size, uuid, timestamp })
      await writeDisk(source, layer, 40 * KiB, (pieces) => pieces.toReversed())
      // Written and taken back: qemu does not look at the bits.
      await layer.write(0, new Uint8Array(Math.min(source.size, 4096)).fill(9))
      await layer.zero(0, Math.min(source.size, 4096))
      const expected = await readFile(raw)
      expected.fill(0, 0, 4096)
      await writeFile(raw, expected)
      await layer.seal()
      await file.close()
      expect((await infoOf(image))['virtual-size']).toBe(source.size)
      await qemuImg('compare', '-f', 'vpc', '-F', 'raw', image, raw)
    })
  }

  test('a dynamic export is known as a VHD without being told', async () => {
    const image = join(await createTestFolder(), 'image.vhd')
    await writeImage(await vhd.plan(createPatternDisk(sources['full']!), testIdentity), image)
    const { stdout } = await qemuImg('info', '--output=json', image)
    expect(JSON.parse(stdout)).toMatchObject({ format: 'vpc', 'virtual-size': 9 * MiB })
  })

  test('an export of 2040 GiB with a little data in it', async () => {
    const parts: readonly PatternPart[] = [
      ['data', 512],
      ['hole', 2040 * GiB - 1024],
      ['data', 512],
    ]
    const image = join(await createTestFolder(), 'image.vhd')
    await writeImage(await vhd.plan(createPatternDisk(parts), testIdentity), image)
    expect((await infoOf(image))['virtual-size']).toBe(2040 * GiB)
    const { stdout } = await qemuImg('map', '--output=json', '-f', 'vpc', image)
    const data = (JSON.parse(stdout) as { start: number; length: number; data: boolean }[]).filter(
      (extent) => extent.data,
    )
    expect(data).toMatchObject([
      { start: 0, length: 2 * MiB },
      { start: 2040 * GiB - 2 * MiB, length: 2 * MiB },
    ])
    const opened = await vhd.open(await openFileImage(image))
    const end = new Uint8Array(512)
    await opened.read(2040 * GiB - 512, end)
    expect(Buffer.from(end).readBigUInt64LE()).toBe(BigInt(2040 * GiB - 512 + 1))
    await opened.close()
  })

  test('a delta is a differencing image of the right size', async () => {
    const folder = await createTestFolder()
    const image = join(folder, 'delta.vhd')
    const base = { uuid: '11111111-2222-4333-8444-555555555555', timestamp: new Date(0) }
    const disk = createPatternDisk(sources['scattered']!)
    await writeImage(await vhd.plan(disk, { ...testIdentity, base }), image)
    expect(await infoOf(image)).toMatchObject({ format: 'vpc', 'virtual-size': disk.size })
  })
})
