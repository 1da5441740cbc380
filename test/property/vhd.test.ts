// The laws for VHD, and properties over random disks, chains and deltas.

import fc from 'fast-check'
import { describe, test } from 'vitest'
import { collectBlockMap } from '../../src/disk/block-map.ts'
import { createChainDisk } from '../../src/disk/chain-disk.ts'
import { copyWrites } from '../../src/disk/copy-writes.ts'
import type { Disk, DiskWriter } from '../../src/disk/disk.ts'
import { createMemoryDisk } from '../../src/disk/memory-disk.ts'
import type { ImageIdentity, LayerParent } from '../../src/formats/format.ts'
import { vhd } from '../../src/formats/vhd/vhd.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { KiB, MiB } from '../../src/units.ts'
import { diskLaws } from '../laws/disk-laws.ts'
import {
  decodeBytes,
  formatLaws,
  layerLaws,
  lawDisks,
  rebuild,
  testIdentity,
  writeDisk,
} from '../laws/format-laws.ts'
import { anyDisk } from '../support/any-disk.ts'
import { createPatternDisk, expectSameBytes, fillPattern, readAll } from '../support/disks.ts'
import { buildVhd } from '../support/vhd-images.ts'
import { expectVhdUtilTakes } from '../support/vhd-util-rules.ts'

describe('vhd', () => {
  formatLaws(vhd)
  layerLaws(vhd)

  const scattered = () => createPatternDisk(lawDisks['scattered']!)
  diskLaws('an opened dynamic vhd', async () =>
    vhd.open(createMemoryImage(await readAll(await vhd.plan(scattered(), testIdentity)))),
  )
  diskLaws('an opened fixed vhd', async () => {
    const image = await vhd.plan(scattered(), testIdentity, { subformat: 'fixed' })
    return vhd.open(createMemoryImage(await readAll(image)))
  })
  diskLaws('an opened vhd with partial blocks', async () => {
    const written = [
      [1, 9],
      [77, 78],
      [1000, 4000],
    ] as const
    const blocks = [{ block: 3 }, { block: 0, written }, { block: 2, written: [] }]
    return vhd.open(createMemoryImage(buildVhd({ size: 7 * MiB + 512, blocks }).bytes))
  })
  diskLaws('an opened layer', async () => {
    const file = createMemoryImage()
    const source = scattered()
    const { uuid, timestamp } = testIdentity
    const layer = await vhd.createLayer(file, { size: source.size, uuid, timestamp })
    await writeDisk(source, layer, 20 * KiB)
    await layer.seal()
    return vhd.open(file)
  })
})

/** What is done to a layer: zeros where there is no seed, otherwise the pattern of that seed. */
interface Step {
  readonly start: number
  readonly length: number
  readonly seed: number | undefined
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    start: fc.nat(),
    length: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 6000 })),
    seed: fc.option(fc.integer({ min: 1, max: 100 }), { nil: undefined }),
  }),
  { maxLength: 12 },
)

const applySteps = async (writer: DiskWriter, made: readonly Step[]): Promise<void> => {
  const sectors = writer.size / 512
  for (const { start, length, seed } of made) {
    const first = start % sectors
    const bytes = new Uint8Array(Math.min(length, sectors - first) * 512)
    if (seed === undefined) {
      await writer.zero(first * 512, bytes.length)
      continue
    }
    fillPattern(first * 512, bytes, seed)
    await writer.write(first * 512, bytes)
  }
}

const chainOf = async (layers: readonly Disk[], size: number): Promise<Disk> => {
  const mapped = layers.map(async (disk) => ({ disk, map: await collectBlockMap(disk) }))
  return createChainDisk(await Promise.all(mapped), size)
}

/** A sealed layer with the steps in it, opened. */
const sealedLayer = async (
  size: number,
  made: readonly Step[],
  parent?: LayerParent,
): Promise<Disk> => {
  const file = createMemoryImage()
  const { uuid, timestamp } = testIdentity
  const layer = await vhd.createLayer(file, { size, uuid, timestamp, ...(parent && { parent }) })
  await applySteps(layer, made)
  await layer.seal()
  expectVhdUtilTakes(await readAll(file))
  return vhd.open(file)
}

const runs = { numRuns: 25 }

describe('any disk', () => {
  test('opens from its plan as it was', () =>
    fc.assert(
      fc.asyncProperty(anyDisk, fc.boolean(), async (parts, isFixed) => {
        const disk = createPatternDisk(parts)
        const subformat = isFixed ? 'fixed' : 'dynamic'
        const image = await vhd.plan(createPatternDisk(parts), testIdentity, { subformat })
        const bytes = await readAll(image, 700_001)
        const opened = await vhd.open(createMemoryImage(bytes))
        expectSameBytes(await readAll(opened, 300_001), await readAll(disk))
      }),
      runs,
    ))

  test('is rebuilt from its stream, cut anywhere', () =>
    fc.assert(
      fc.asyncProperty(
        anyDisk,
        fc.array(fc.integer({ min: 1, max: 3 * MiB }), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (parts, chunks, isFixed) => {
          const disk = createPatternDisk(parts)
          const subformat = isFixed ? 'fixed' : 'dynamic'
          const bytes = await readAll(await vhd.plan(disk, testIdentity, { subformat }))
          const rebuilt = await rebuild(await decodeBytes(vhd, bytes, chunks))
          expectSameBytes(await readAll(rebuilt), await readAll(disk))
        },
      ),
      runs,
    ))

  test('is planned as vhd-util takes it, whole and as a delta', () =>
    fc.assert(
      fc.asyncProperty(anyDisk, fc.boolean(), async (parts, isDelta) => {
        const base = { uuid: '11111111-2222-4333-8444-555555555555', timestamp: new Date(0) }
        const identity = isDelta ? { ...testIdentity, base } : testIdentity
        expectVhdUtilTakes(await readAll(await vhd.plan(createPatternDisk(parts), identity)))
      }),
      runs,
    ))
})

describe('any writes', () => {
  const sizes = fc.integer({ min: 1, max: 10_000 }).map((sectors) => sectors * 512)

  test('read back from a layer', () =>
    fc.assert(
      fc.asyncProperty(sizes, steps, async (size, made) => {
        const model = createMemoryDisk(size)
        await applySteps(model, made)
        expectSameBytes(await readAll(await sealedLayer(size, made)), await readAll(model))
      }),
      runs,
    ))

  test('read back through a chain of layers', () =>
    fc.assert(
      fc.asyncProperty(
        sizes,
        fc.array(steps, { minLength: 2, maxLength: 3 }),
        async (size, layers) => {
          const model = createMemoryDisk(size)
          let opened: Disk[] = []
          for (const made of layers) {
            await applySteps(model, made)
            const parent: LayerParent = {
              uuid: testIdentity.uuid,
              timestamp: testIdentity.timestamp,
              format: 'vhd',
              fileName: `${testIdentity.uuid}.vhd`,
              disk: await chainOf(opened, size),
            }
            const hasParent = opened.length > 0
            opened = [await sealedLayer(size, made, hasParent ? parent : undefined), ...opened]
          }
          expectSameBytes(await readAll(await chainOf(opened, size)), await readAll(model))
        },
      ),
      runs,
    ))
})

describe('any delta', () => {
  const identity: ImageIdentity = {
    ...testIdentity,
    base: { uuid: '11111111-2222-4333-8444-555555555555', timestamp: new Date('2025-01-01') },
  }

  /** B with `made` on top: says only what was changed, and reads as A does everywhere. */
  const deltaDisk = (changes: Disk, content: Disk): Disk => ({
    size: content.size,
    extents: (range) => changes.extents(range),
    read: (offset, target, signal) => content.read(offset, target, signal),
    close: async () => {},
  })

  test('makes of its base the disk that was exported', () =>
    fc.assert(
      fc.asyncProperty(anyDisk, steps, async (baseParts, made) => {
        const base = createPatternDisk(baseParts)
        const changes = createMemoryDisk(base.size)
        await applySteps(changes, made)
        const exported = await chainOf([changes, base], base.size)

        const bytes = await readAll(await vhd.plan(deltaDisk(changes, exported), identity))
        const decoded = await decodeBytes(vhd, bytes)
        if (!decoded.isDelta) throw new Error('not marked as a delta')

        // In place over the base, as an import does it.
        const target = createMemoryDisk(base.size)
        await writeDisk(base, target, MiB)
        await copyWrites(decoded.writes(), target)
        expectSameBytes(await readAll(target), await readAll(exported), 'imported')

        // As a layer at rest on the base.
        const layer = await vhd.open(createMemoryImage(bytes))
        const chain = await chainOf([layer, base], base.size)
        expectSameBytes(await readAll(chain), await readAll(exported), 'chained')
      }),
      runs,
    ))
})
