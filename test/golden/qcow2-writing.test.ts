// QCOW2 that diskport made: clean for `qemu-img check`, and of the same content for `qemu-img
// compare`.

import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Disk, DiskWriter } from '../../src/disk/disk.ts'
import type { ImageIdentity, PlanOptions } from '../../src/formats/format.ts'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { raw } from '../../src/formats/raw/raw.ts'
import { createFileImage, openFileImage } from '../../src/image/file-image.ts'
import { GiB, KiB, MAXIMUM_DISK_SIZE, MiB, SECTOR_SIZE, TiB } from '../../src/units.ts'
import { testIdentity, writeDisk } from '../laws/format-laws.ts'
import type { PatternPart } from '../support/disks.ts'
import { createPatternDisk, expectSameBytes, fillPattern, readRange } from '../support/disks.ts'
import {
  createFlatWriter,
  createLayerFile,
  createRaw,
  expectClean,
  expectSameDisk,
  long,
  mixed,
  writeImage,
} from '../support/qcow2-files.ts'
import { createTestFolder, hasTool, qemuImg } from '../support/tools.ts'

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
