// QCOW2 that qemu-img made: read from a stream and at rest, as qemu-img reads it.

import { createReadStream } from 'node:fs'
import { stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { openFileImage } from '../../src/image/file-image.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import { openFileSpool } from '../../src/image/spool.ts'
import { KiB, MiB, SECTOR_SIZE, TiB } from '../../src/units.ts'
import type { PatternPart } from '../support/disks.ts'
import { expectSameBytes, listExtents, readRange } from '../support/disks.ts'
import { createRaw, expectClean, expectReadsLikeQemu, long, mixed } from '../support/qcow2-files.ts'
import type { ClusterContent } from '../support/qcow2-image.ts'
import { buildImage } from '../support/qcow2-image.ts'
import { createTestFolder, hasTool, qemuImg, run } from '../support/tools.ts'

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

  for (const type of ['zlib', 'zstd']) {
    for (const clusterSize of ['512', '4k', '64k', '2M']) {
      test(`compressed by ${type}, clusters of ${clusterSize}`, async () => {
        const options = [`compression_type=${type}`, `cluster_size=${clusterSize}`]
        await expectReadsLikeQemu(await convert(mixed, options, ['-c']))
        // A disk of many clusters of 512 bytes takes long.
        const parts = clusterSize === '512' ? mixed : long
        await expectReadsLikeQemu(await convert(parts, options, ['-c', '-W', '-m', '16']))
      })
    }

    test(`compressed by ${type}, then written to`, async () => {
      const path = await convert(mixed, [`compression_type=${type}`], ['-c'])
      for (const command of ['write -P 7 100k 900k', 'write -z 5M 1M', 'write -P 9 6M 100k']) {
        await run('qemu-io', ['-f', 'qcow2', '-c', command, path])
      }
      await expectReadsLikeQemu(path)
    })
  }

  for (const clusterSize of ['16k', '64k', '2M']) {
    for (const flags of [[], ['-W', '-m', '16'], ['-c'], ['-S', '0']]) {
      test(`extended L2, clusters of ${clusterSize}, ${flags.join(' ')}`, async () => {
        const options = ['extended_l2=on', `cluster_size=${clusterSize}`]
        const path = await convert(mixed, options, flags)
        await expectReadsLikeQemu(path)
        const commands = [
          'write -P 7 100k 2k',
          'write -z 300k 4k',
          'write -P 9 6M 512',
          'discard 4M 2k',
          'write -z -u 5M 6k',
        ]
        for (const command of commands) await run('qemu-io', ['-f', 'qcow2', '-c', command, path])
        await expectReadsLikeQemu(path)
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

  test.each([1, 512, 4000, 65_535])('a last cluster that lacks %d bytes', async (missing) => {
    const path = await convert(
      [
        ['hole', 3 * MiB],
        ['data', 4 * MiB],
        ['hole', MiB],
      ],
      [],
    )
    await truncate(path, (await stat(path)).size - missing)
    await expectReadsLikeQemu(path)
  })

  test('internal snapshots are passed over, the active state is read', async () => {
    const path = await convert(mixed, ['cluster_size=4k'])
    await qemuImg('snapshot', '-c', 'before', path)
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 100k 900k', path])
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -z 5M 1M', path])
    await qemuImg('snapshot', '-c', 'after', path)
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 9 6M 100k', path])
    const { notes } = await expectReadsLikeQemu(path)
    expect(notes).toEqual([
      '2 internal snapshots were left out: only the current state of the disk is imported',
    ])
  })

  test('bitmaps are passed over', async () => {
    const path = await convert(mixed, [])
    await qemuImg('bitmap', '--add', '-g', '64k', path, 'first')
    await qemuImg('bitmap', '--add', '--disable', path, 'second')
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 100k 900k', path])
    const { notes } = await expectReadsLikeQemu(path)
    expect(notes).toEqual(['2 bitmaps were left out'])
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
