// QCOW2 both ways against qemu-img: what it makes is read, from a stream and at rest, and what diskport
// makes is clean for `qemu-img check` and has the same content for `qemu-img compare`.

import { createReadStream } from 'node:fs'
import { open, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { copyWrites } from '../../src/disk/copy-writes.ts'
import type { Disk, DiskWriter } from '../../src/disk/disk.ts'
import type { ImageIdentity, PlanOptions } from '../../src/formats/format.ts'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { raw } from '../../src/formats/raw/raw.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { createFileImage, openFileImage } from '../../src/image/file-image.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import type { Image } from '../../src/image/image.ts'
import { openFileSpool } from '../../src/image/spool.ts'
import { GiB, KiB, MAXIMUM_DISK_SIZE, MiB, SECTOR_SIZE, TiB } from '../../src/units.ts'
import { testIdentity, writeDisk } from '../laws/format-laws.ts'
import type { PatternPart } from '../support/disks.ts'
import {
  createPatternDisk,
  expectSameBytes,
  fillPattern,
  listExtents,
  readAll,
  readRange,
} from '../support/disks.ts'
import type { ClusterContent } from '../support/qcow2-image.ts'
import { buildImage } from '../support/qcow2-image.ts'
import { createTestFolder, hasTool, qemuImg, run } from '../support/tools.ts'

/** A raw file with the given stretches: data shows the pattern, the rest is a hole. */
const createRaw = async (path: string, parts: readonly PatternPart[]): Promise<string> => {
  const file = await open(path, 'w')
  let offset = 0
  for (const [kind, length] of parts) {
    if (kind === 'data') {
      const bytes = new Uint8Array(length)
      fillPattern(offset, bytes)
      await file.write(bytes, 0, length, offset)
    }
    offset += length
  }
  await file.truncate(offset)
  await file.close()
  return path
}

const mixed: readonly PatternPart[] = [
  ['data', 300 * KiB],
  ['hole', 2 * MiB],
  ['data', SECTOR_SIZE],
  ['hole', 70 * KiB],
  ['data', 5 * MiB],
  ['hole', 3 * MiB + SECTOR_SIZE],
  ['data', 100 * KiB],
]
/** Long enough that `qemu-img convert -W` writes several pieces at once, out of order. */
const long: readonly PatternPart[] = [
  ['data', 20 * MiB],
  ['hole', MiB],
  ['data', 20 * MiB - SECTOR_SIZE],
]

/** A writer on plain memory, much faster than the sector map of memory-disk. */
const createFlatWriter = (size: number): DiskWriter & { readonly bytes: Uint8Array } => {
  const bytes = new Uint8Array(size)
  return {
    size,
    bytes,
    async write(offset, source) {
      bytes.set(source, offset)
    },
    async zero(offset, length) {
      bytes.fill(0, offset, offset + length)
    },
  }
}

interface Decoded {
  readonly bytes: Uint8Array
  readonly spools: number
}

const decodeFile = async (path: string, isLengthKnown = true): Promise<Decoded> => {
  const { size } = await stat(path)
  let spools = 0
  const decoded = await qcow2.decode(createForwardReader(createReadStream(path)), {
    buffers: createBufferPool(4, MiB),
    openSpool: () => {
      spools += 1
      return openFileSpool(`${path}.spool`)
    },
    ...(isLengthKnown ? { streamLength: size } : {}),
  })
  const writer = createFlatWriter(decoded.virtualSize)
  await copyWrites(decoded.writes(), writer)
  return { bytes: writer.bytes, spools }
}

/** The image reads as qemu-img reads it: at rest, from a stream, and from one of unknown length. */
const expectReadsLikeQemu = async (path: string): Promise<Decoded> => {
  await qemuImg('convert', '-f', 'qcow2', '-O', 'raw', path, `${path}.raw`)
  const expected = await readFile(`${path}.raw`)
  const disk = await qcow2.open(await openFileImage(path))
  expect(disk.size).toBe(expected.length)
  expectSameBytes(await readAll(disk), expected, 'at rest')
  await disk.close()
  expectSameBytes((await decodeFile(path, false)).bytes, expected, 'from a stream without length')
  const decoded = await decodeFile(path)
  expectSameBytes(decoded.bytes, expected, 'from a stream')
  return decoded
}

const writeImage = async (image: Image, path: string): Promise<void> => {
  const file = await createFileImage(path)
  const step = MiB
  for (let offset = 0; offset < image.size; offset += step) {
    const length = Math.min(step, image.size - offset)
    await file.write(offset, await readRange(image, offset, length))
  }
  await file.close()
  await image.close()
}

/** No errors, no leaks; the exit code says both. */
const expectClean = async (path: string): Promise<void> => {
  const { stdout } = await qemuImg('check', '-f', 'qcow2', '--output=json', path)
  const report = JSON.parse(stdout) as Record<string, number>
  expect({ leaks: report['leaks'] ?? 0, corruptions: report['corruptions'] ?? 0 }).toEqual({
    leaks: 0,
    corruptions: 0,
  })
  expect(report['check-errors']).toBe(0)
  expect(report['image-end-offset']).toBe((await stat(path)).size)
}

const expectSameDisk = async (path: string, rawPath: string): Promise<void> => {
  const { stdout } = await qemuImg('compare', '-f', 'qcow2', '-F', 'raw', path, rawPath)
  expect(stdout).toContain('Images are identical.')
}

describe.skipIf(!hasTool('qemu-img'))('qcow2 that qemu-img made', () => {
  const convert = async (
    parts: readonly PatternPart[],
    options: readonly string[],
    flags: readonly string[] = [],
  ): Promise<string> => {
    const folder = await createTestFolder()
    const source = await createRaw(join(folder, 'source.raw'), parts)
    const path = join(folder, 'image.qcow2')
    const all = options.flatMap((option) => ['-o', option])
    await qemuImg('convert', ...flags, '-f', 'raw', '-O', 'qcow2', ...all, source, path)
    return path
  }

  for (const compat of ['0.10', '1.1']) {
    for (const clusterSize of ['512', '1k', '4k', '64k', '2M']) {
      test(`version ${compat}, clusters of ${clusterSize}`, async () => {
        const path = await convert(mixed, [`compat=${compat}`, `cluster_size=${clusterSize}`])
        expect((await expectReadsLikeQemu(path)).spools).toBe(0)
      })
    }
  }

  for (const bits of ['1', '2', '4', '8', '32', '64']) {
    test(`refcount_bits ${bits}`, async () => {
      await expectReadsLikeQemu(await convert(mixed, [`refcount_bits=${bits}`]))
    })
  }

  for (const preallocation of ['metadata', 'falloc', 'full']) {
    for (const clusterSize of ['512', '64k']) {
      test(`preallocation ${preallocation}, clusters of ${clusterSize}`, async () => {
        const options = [`preallocation=${preallocation}`, `cluster_size=${clusterSize}`]
        await expectReadsLikeQemu(await convert(mixed, options))
      })
    }
  }

  test('lazy refcounts', async () => {
    await expectReadsLikeQemu(await convert(mixed, ['lazy_refcounts=on']))
  })

  for (const clusterSize of ['4k', '64k']) {
    test(`written out of order, clusters of ${clusterSize}`, async () => {
      const path = await convert(long, [`cluster_size=${clusterSize}`], ['-W', '-m', '16'])
      expect((await expectReadsLikeQemu(path)).spools).toBe(0)
    })
    test(`zeros written too, clusters of ${clusterSize}`, async () => {
      await expectReadsLikeQemu(
        await convert(long, [`cluster_size=${clusterSize}`], ['-S', '0', '-W']),
      )
    })
  }

  for (const [name, size] of [
    ['a sector more than a cluster', 64 * KiB + SECTOR_SIZE],
    ['a sector less than a cluster', 64 * KiB - SECTOR_SIZE],
    ['one sector', SECTOR_SIZE],
  ] as const) {
    test(`a disk of ${name}, full and empty`, async () => {
      await expectReadsLikeQemu(await convert([['data', size]], []))
      await expectReadsLikeQemu(await convert([['hole', size]], []))
      await expectReadsLikeQemu(await convert([['data', size]], ['cluster_size=512']))
    })
  }

  test('an L1 table that a resize moved to the end comes after everything else', async () => {
    const path = await convert(long, ['cluster_size=512'])
    await qemuImg('resize', '-f', 'qcow2', path, '64M')
    await qemuImg('resize', '-f', 'qcow2', path, '300M')
    const { spools } = await expectReadsLikeQemu(path)
    expect(spools).toBe(1)
  })

  test('internal snapshots are passed over, the active state is read', async () => {
    const path = await convert(mixed, ['cluster_size=4k'])
    await qemuImg('snapshot', '-c', 'before', path)
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 100k 900k', path])
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -z 5M 1M', path])
    await qemuImg('snapshot', '-c', 'after', path)
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 9 6M 100k', path])
    await expectReadsLikeQemu(path)
  })

  test('bitmaps are passed over', async () => {
    const path = await convert(mixed, [])
    await qemuImg('bitmap', '--add', '-g', '64k', path, 'first')
    await qemuImg('bitmap', '--add', '--disable', path, 'second')
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 100k 900k', path])
    await expectReadsLikeQemu(path)
  })

  test('zeros, with and without clusters under them, and discards', async () => {
    for (const compat of ['0.10', '1.1']) {
      const path = await convert(mixed, [`compat=${compat}`])
      const commands = [
        'write -z 0 64k',
        'write -z -u 64k 64k',
        'write -z 3M 1M',
        'write -z -u 4M 1M',
        'discard 5M 512k',
        'write -P 5 4160k 3k',
        'write -z 8M 100k',
        'write -P 6 8200k 1k',
      ]
      const args = commands.flatMap((command) => ['-c', command])
      await run('qemu-io', ['-f', 'qcow2', '-d', 'unmap', ...args, path])
      await expectReadsLikeQemu(path)
    }
  })

  test('a preallocated zero cluster is a zero extent and never its old data', async () => {
    const path = await convert([['data', MiB]], [])
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -z 128k 256k', path])
    const disk = await qcow2.open(await openFileImage(path))
    expect(await listExtents(disk)).toEqual([
      { kind: 'data', offset: 0, length: 128 * KiB },
      { kind: 'zero', offset: 128 * KiB, length: 256 * KiB },
      { kind: 'data', offset: 384 * KiB, length: 640 * KiB },
    ])
    await disk.close()
    await expectReadsLikeQemu(path)
  })

  test('a delta says so, and its unallocated clusters are holes', async () => {
    const folder = await createTestFolder()
    const base = join(folder, 'base.qcow2')
    const path = join(folder, 'delta.qcow2')
    await qemuImg('create', '-f', 'qcow2', base, '2M')
    await qemuImg('create', '-f', 'qcow2', '-b', base, '-F', 'qcow2', path)
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 512k 64k', path])
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -z 1M 64k', path])
    const disk = await qcow2.open(await openFileImage(path))
    expect((await listExtents(disk)).map(({ kind }) => kind)).toEqual([
      'hole',
      'data',
      'hole',
      'zero',
      'hole',
    ])
    await disk.close()
    const decoded = await qcow2.decode(createForwardReader(createReadStream(path)), {
      buffers: createBufferPool(4, MiB),
      openSpool: () => openFileSpool(`${path}.spool`),
    })
    expect(decoded.isDelta).toBe(true)
    const writes: { kind: string; offset: number }[] = []
    for await (const write of decoded.writes()) {
      writes.push({ kind: write.kind, offset: write.offset })
      if (write.kind === 'data') write.release?.()
    }
    expect(writes.toSorted((a, b) => a.offset - b.offset)).toEqual([
      { kind: 'data', offset: 512 * KiB },
      { kind: 'zero', offset: MiB },
    ])
  })

  test('the images that tests build are clean, and read like qemu-img reads them', async () => {
    const folder = await createTestFolder()
    const kinds: (ClusterContent | undefined)[] = [
      'data',
      'zero',
      'data',
      undefined,
      'zeroAllocated',
    ]
    for (const [index, clusterBits] of [9, 12, 16].entries()) {
      const clusters = new Map<number, ClusterContent>()
      for (let cluster = 0; cluster < 150; cluster += 1) {
        const kind = kinds[(cluster * 7) % 5]
        if (kind !== undefined) clusters.set(cluster, kind)
      }
      const virtualSize = 150 * 2 ** clusterBits - index * SECTOR_SIZE
      const arrange = (names: string[]): string[] =>
        index === 1 ? names.toReversed() : names.toSorted()
      const built = buildImage({ version: 3, clusterBits, virtualSize, clusters, arrange })
      const path = join(folder, `${clusterBits}.qcow2`)
      await writeFile(path, built.bytes)
      await expectClean(path)
      const { bytes } = await expectReadsLikeQemu(path)
      expectSameBytes(bytes, built.content)
    }
  })

  test('2 TiB with a little data', async () => {
    const folder = await createTestFolder()
    const path = join(folder, 'sparse.qcow2')
    await qemuImg('create', '-f', 'qcow2', path, '2T')
    const commands = ['write -P 1 0 64k', 'write -P 2 1T 1M', 'write -P 3 2199023255040 512']
    const args = commands.flatMap((command) => ['-c', command])
    await run('qemu-io', ['-f', 'qcow2', ...args, path])
    const disk = await qcow2.open(await openFileImage(path))
    expect((await listExtents(disk)).filter(({ kind }) => kind === 'data')).toEqual([
      { kind: 'data', offset: 0, length: 64 * KiB },
      { kind: 'data', offset: TiB, length: MiB },
      { kind: 'data', offset: 2 * TiB - 64 * KiB, length: 64 * KiB },
    ])
    expect((await readRange(disk, TiB, MiB)).every((byte) => byte === 2)).toBe(true)
    expect((await readRange(disk, 2 * TiB - 512, 512)).every((byte) => byte === 3)).toBe(true)
    await disk.close()
  })
})

const sizes: Record<string, readonly PatternPart[]> = {
  mixed,
  long,
  empty: [['hole', 5 * MiB]],
  full: [['data', 5 * MiB]],
  'one sector': [['data', SECTOR_SIZE]],
  'one empty sector': [['hole', SECTOR_SIZE]],
  'a sector more than a cluster': [['data', 64 * KiB + SECTOR_SIZE]],
  'a sector less than an L2 table': [
    ['data', 64 * KiB],
    ['hole', 512 * MiB - 64 * KiB - SECTOR_SIZE],
  ],
  'a sector more than an L2 table': [
    ['hole', 512 * MiB],
    ['data', SECTOR_SIZE],
  ],
}

describe.skipIf(!hasTool('qemu-img'))('qcow2 that diskport made', () => {
  for (const [name, parts] of Object.entries(sizes)) {
    test(`plan, ${name}: clean, and of the same content`, async () => {
      const folder = await createTestFolder()
      const source = await createRaw(join(folder, 'source.raw'), parts)
      const path = join(folder, 'image.qcow2')
      await writeImage(await qcow2.plan(createPatternDisk(parts), testIdentity), path)
      await expectClean(path)
      await expectSameDisk(path, source)
    })

    test(`layer, ${name}: clean, and of the same content, in any order`, async () => {
      const folder = await createTestFolder()
      const source = await createRaw(join(folder, 'source.raw'), parts)
      const orders: (<T>(pieces: T[]) => T[])[] = [
        (pieces) => pieces,
        (pieces) => pieces.toReversed(),
        (pieces) => [...pieces, ...pieces.toReversed()],
      ]
      for (const [index, arrange] of orders.entries()) {
        for (const step of [MiB, 24 * KiB]) {
          const disk = createPatternDisk(parts)
          const path = join(folder, `${index}-${step}.qcow2`)
          await createLayerFile(path, disk.size, undefined, (layer) =>
            writeDisk(disk, layer, step, arrange),
          )
          await expectClean(path)
          await expectSameDisk(path, source)
        }
      }
    })
  }

  test('plan, 2 TiB with a little data: clean, and of the same content', async () => {
    const folder = await createTestFolder()
    const parts: PatternPart[] = [
      ['data', MiB],
      ['hole', TiB],
      ['data', 3 * MiB],
      ['hole', TiB - 4 * MiB],
    ]
    const source = await createRaw(join(folder, 'source.raw'), parts)
    const path = join(folder, 'image.qcow2')
    await writeImage(await qcow2.plan(createPatternDisk(parts), testIdentity), path)
    await expectClean(path)
    const { stdout } = await qemuImg('info', '--output=json', path)
    expect(JSON.parse(stdout)).toMatchObject({ 'virtual-size': 2 * TiB, 'cluster-size': 65_536 })
    await expectSameDisk(path, source)
  })

  test('the header has what qemu-img writes: fields, and names of features', async () => {
    const folder = await createTestFolder()
    const path = join(folder, 'qemu.qcow2')
    await qemuImg('create', '-f', 'qcow2', path, '5M')
    const theirs = await readFile(path)
    const image = await qcow2.plan(createPatternDisk(sizes['empty']!), testIdentity)
    const ours = await readRange(image, 0, 64 * KiB)
    expectSameBytes(ours, theirs.subarray(0, 64 * KiB))
  })

  test('plan and layer of the largest disk are clean', async () => {
    const folder = await createTestFolder()
    const parts: PatternPart[] = [
      ['data', MiB],
      ['hole', MAXIMUM_DISK_SIZE - 2 * MiB],
      ['data', MiB],
    ]
    const path = join(folder, 'plan.qcow2')
    await writeImage(await qcow2.plan(createPatternDisk(parts), testIdentity), path)
    await expectClean(path)
    const layerPath = join(folder, 'layer.qcow2')
    await createLayerFile(layerPath, MAXIMUM_DISK_SIZE, undefined, (layer) =>
      writeDisk(createPatternDisk(parts), layer, MiB),
    )
    await expectClean(layerPath)
    const { stdout } = await qemuImg('compare', '-f', 'qcow2', '-F', 'qcow2', path, layerPath)
    expect(stdout).toContain('Images are identical.')
  })

  test('plan: more than 2 GiB of clusters need a second refcount block', async () => {
    const folder = await createTestFolder()
    const disk: Disk = {
      size: 3 * GiB,
      async *extents() {
        yield { offset: 0, length: 2 * GiB + 64 * KiB, kind: 'data' }
        yield { offset: 2 * GiB + 64 * KiB, length: GiB - 64 * KiB, kind: 'hole' }
      },
      async read(_offset, target) {
        target.fill(0)
      },
      async close() {},
    }
    const path = join(folder, 'image.qcow2')
    const image = await qcow2.plan(disk, testIdentity)
    const file = await createFileImage(path)
    // The data of this disk is zeros: the file may be a hole there.
    const metadata = image.size - (2 * GiB + 64 * KiB)
    await file.write(0, await readRange(image, 0, metadata))
    await file.truncate(image.size)
    await file.close()
    await expectClean(path)
  })
})

const createLayerFile = async (
  path: string,
  size: number,
  parent: { fileName: string; format: 'qcow2' | 'vhd' | 'raw'; disk: Disk } | undefined,
  write: (layer: DiskWriter) => Promise<void>,
): Promise<void> => {
  const file = await createFileImage(path)
  const { uuid, timestamp } = testIdentity
  const layer = await qcow2.createLayer(file, {
    size,
    uuid,
    timestamp,
    ...(parent === undefined ? {} : { parent: { ...parent, uuid, timestamp } }),
  })
  await write(layer)
  await layer.seal()
  await file.close()
}

describe.skipIf(!hasTool('qemu-img'))('qcow2 chains that diskport made', () => {
  const writeOver = async (layer: DiskWriter): Promise<void> => {
    const bytes = new Uint8Array(3 * MiB)
    fillPattern(1, bytes, 9)
    await Promise.all([
      layer.write(10 * KiB, bytes.subarray(0, 20 * KiB)),
      layer.write(30 * KiB, bytes.subarray(0, 3 * KiB)),
      layer.zero(33 * KiB, 200 * KiB),
      layer.write(233 * KiB, bytes.subarray(0, 100 * KiB)),
      layer.write(3 * MiB, bytes),
      layer.zero(7 * MiB, MiB),
    ])
    await layer.zero(4 * MiB + KiB, 130 * KiB)
    await layer.write(4 * MiB + 40 * KiB, bytes.subarray(0, KiB))
  }

  for (const parentFormat of ['raw', 'qcow2'] as const) {
    test(`a layer on a ${parentFormat} parent reads as its chain, by qemu-img`, async () => {
      const folder = await createTestFolder()
      const source = await createRaw(join(folder, 'parent.raw'), mixed)
      let fileName = 'parent.raw'
      if (parentFormat === 'qcow2') {
        fileName = 'parent.qcow2'
        const args = ['-f', 'raw', '-O', 'qcow2', source, join(folder, fileName)]
        await qemuImg('convert', ...args)
      }
      const format = parentFormat === 'raw' ? raw : qcow2
      const disk = await format.open(await openFileImage(join(folder, fileName)))
      const path = join(folder, 'child.qcow2')
      await createLayerFile(path, disk.size, { fileName, format: parentFormat, disk }, writeOver)
      await disk.close()
      await expectClean(path)

      const flat = createFlatWriter(disk.size)
      flat.bytes.set(await readFile(source))
      await writeOver(flat)
      await writeFile(join(folder, 'expected.raw'), flat.bytes)
      await expectSameDisk(path, join(folder, 'expected.raw'))
      const { stdout } = await qemuImg('info', '--backing-chain', '--output=json', path)
      expect(JSON.parse(stdout)).toMatchObject([
        { 'backing-filename': fileName, 'backing-filename-format': parentFormat },
        { format: parentFormat },
      ])
    })
  }

  test('a vhd parent is named as qemu calls it', async () => {
    const folder = await createTestFolder()
    const parent = join(folder, 'parent.vhd')
    await qemuImg('create', '-f', 'vpc', '-o', 'force_size', parent, '4M')
    const disk = createPatternDisk([['hole', 4 * MiB]])
    const path = join(folder, 'child.qcow2')
    const layerParent = { fileName: 'parent.vhd', format: 'vhd' as const, disk }
    await createLayerFile(path, disk.size, layerParent, (layer) =>
      layer.write(0, new Uint8Array(512).fill(3)),
    )
    const { stdout } = await qemuImg('info', '--backing-chain', '--output=json', path)
    expect(JSON.parse(stdout)).toMatchObject([
      { 'backing-filename': 'parent.vhd', 'backing-filename-format': 'vpc' },
      { format: 'vpc' },
    ])
    await expectClean(path)
  })

  const base = { uuid: '0b1c2d3e-0000-4000-8000-000000000001', timestamp: testIdentity.timestamp }
  const identity: ImageIdentity = { ...testIdentity, base }
  const options: PlanOptions[] = [{}, { delta: 'compact' }]
  for (const planOptions of options) {
    test(`a ${planOptions.delta ?? 'compatible'} delta over its base reads as the disk`, async () => {
      const folder = await createTestFolder()
      const baseRaw = await createRaw(join(folder, 'base.raw'), mixed)
      const basePath = join(folder, 'base.qcow2')
      await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', baseRaw, basePath)
      const flat = createFlatWriter((await stat(baseRaw)).size)
      flat.bytes.set(await readFile(baseRaw))
      await writeOver(flat)
      const { bytes } = flat
      const changed: Disk = {
        size: flat.size,
        async *extents() {
          yield { kind: 'hole', offset: 0, length: 10 * KiB }
          yield { kind: 'data', offset: 10 * KiB, length: 23 * KiB }
          yield { kind: 'zero', offset: 33 * KiB, length: 200 * KiB }
          yield { kind: 'data', offset: 233 * KiB, length: 100 * KiB }
          yield { kind: 'hole', offset: 333 * KiB, length: 3 * MiB - 333 * KiB }
          yield { kind: 'data', offset: 3 * MiB, length: 3 * MiB }
          yield { kind: 'hole', offset: 6 * MiB, length: MiB }
          yield { kind: 'zero', offset: 7 * MiB, length: MiB }
          yield { kind: 'hole', offset: 8 * MiB, length: flat.size - 8 * MiB }
        },
        async read(offset, target) {
          target.set(bytes.subarray(offset, offset + target.length))
        },
        async close() {},
      }
      const path = join(folder, 'delta.qcow2')
      await writeImage(await qcow2.plan(changed, identity, planOptions), path)
      const { stdout } = await qemuImg('info', '--output=json', path)
      const name = planOptions.delta === 'compact' ? base.uuid : undefined
      expect((JSON.parse(stdout) as Record<string, string>)['backing-filename']).toBe(name)
      await qemuImg('rebase', '-u', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', path)
      await expectClean(path)
      await writeFile(join(folder, 'expected.raw'), bytes)
      await expectSameDisk(path, join(folder, 'expected.raw'))
    })
  }
})
