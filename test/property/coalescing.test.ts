// Merging layers changes nothing that a client can see: random trees of layers, in random formats
// and their mixtures, with all their exports before and after; and the guest's bytes against a
// plain array.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Catalog } from '../../src/catalog/catalog.ts'
import { formatsAtRest } from '../../src/format-table.ts'
import { openFileFolder } from '../../src/store/files/file-folder.ts'
import type { LayerFolder } from '../../src/store/files/layer-folder.ts'
import { createMemoryFolder } from '../../src/store/files/memory-folder.ts'
import { KiB, MiB, SECTOR_SIZE } from '../../src/units.ts'
import { expectSameBytes, fillPattern } from '../support/disks.ts'
import type { LayerTree, TreeWrite } from '../support/layer-trees.ts'
import { createLayerTree, exportAll, readVdi, settle, unhurried } from '../support/layer-trees.ts'
import { createTestFolder } from '../support/tools.ts'

/** Not whole in any unit: the last cluster and the last block are short. */
const size = 2 * MiB + 96 * KiB + SECTOR_SIZE
const grownSize = size + MiB

const sector = (maximum: number) => fc.nat({ max: maximum / SECTOR_SIZE - 1 })

const writes = fc.array(
  fc.record({
    kind: fc.constantFrom('data' as const, 'data' as const, 'zero' as const),
    from: sector(size),
    // From a sector to a few clusters, and now and then more than a block.
    sectors: fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: 600 }), fc.nat({ max: 5000 })),
    isAligned: fc.boolean(),
  }),
  { minLength: 1, maxLength: 4 },
)

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('write' as const), which: fc.nat(), writes }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('copy' as const),
      which: fc.nat(),
      format: fc.constantFrom(...formatsAtRest),
      grows: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('destroy' as const), which: fc.nat() }) },
)

const program = fc.record({
  format: fc.constantFrom(...formatsAtRest),
  steps: fc.array(step, { minLength: 6, maxLength: 12 }),
  maximumDepth: fc.integer({ min: 1, max: 3 }),
})
type Program = typeof program extends fc.Arbitrary<infer T> ? T : never

const placed = ({
  kind,
  from,
  sectors,
  isAligned,
}: {
  kind: 'data' | 'zero'
  from: number
  sectors: number
  isAligned: boolean
}): TreeWrite => {
  const unit = isAligned ? 64 * KiB : SECTOR_SIZE
  const offset = Math.floor((from * SECTOR_SIZE) / unit) * unit
  const end = Math.min(size, Math.ceil((offset + (sectors + 1) * SECTOR_SIZE) / unit) * unit)
  return { kind, offset, length: end - offset }
}

/** Runs the program; the VDIs that are left, and the bytes that each must show. */
const grow = async (tree: LayerTree, { format, steps }: Program) => {
  const models = new Map([[await tree.createVdi(size, format), new Uint8Array(size)]])
  for (const step of steps) {
    const uuids = [...models.keys()]
    const uuid = uuids[step.which % uuids.length]!
    const model = models.get(uuid)!
    if (step.kind === 'destroy') {
      if (uuids.length === 1) continue
      await tree.catalog.vdis.destroy(uuid)
      models.delete(uuid)
    } else if (step.kind === 'copy') {
      if (uuids.length > 2) continue
      const copy = new Uint8Array(step.grows ? grownSize : model.length)
      if (copy.length < model.length) continue
      copy.set(model)
      const changes = { format: step.format, virtualSize: copy.length }
      models.set(await tree.copyOf(uuid, changes), copy)
    } else {
      const written = step.writes.map(placed)
      const seed = await tree.write(uuid, written)
      for (const { kind, offset, length } of written) {
        const part = model.subarray(offset, offset + length)
        if (kind === 'zero') part.fill(0)
        else fillPattern(offset, part, seed)
      }
    }
  }
  return models
}

const expectShown = async (
  tree: LayerTree,
  storage: LayerTree['storage'],
  models: ReadonlyMap<string, Uint8Array>,
): Promise<void> => {
  for (const [uuid, model] of models) {
    expectSameBytes(await readVdi(storage, await tree.vdi(uuid)), model, uuid)
  }
}

/** A catalog in which merging comes to its last step and fails there. */
const withoutRebase = (catalog: Catalog): Catalog => ({
  ...catalog,
  coalescing: {
    ...catalog.coalescing,
    rebase: () => Promise.reject(new Error('the process died')),
  },
})

/** A folder in which a file takes its place, and its map does not follow. */
const withoutNextMaps = (folder: LayerFolder): LayerFolder => ({
  ...folder,
  async publish(name, as) {
    if (name.endsWith('.next')) throw new Error('the process died')
    return folder.publish(name, as)
  },
  async discard(name) {
    if (!name.endsWith('.next')) await folder.discard(name)
  },
})

let merged = 0

const keepsAll = async (folder: LayerFolder, tried: Program): Promise<void> => {
  const tree = await createLayerTree(folder)
  const models = await grow(tree, tried)
  const uuids = [...models.keys()]
  const { catalog, srUuid } = tree
  const limits = { maximumDepth: tried.maximumDepth, postponed: new Set<string>() }
  await settle(tree.storage, srUuid)
  await expectShown(tree, tree.storage, models)
  const before = await exportAll(tree, tree.storage, uuids)
  const layers = (await catalog.layers.list(srUuid)).length

  // As a crash leaves it: the file in place, its map or the catalog's word still to come.
  const coalescing = { ...unhurried, maximumDepth: tried.maximumDepth }
  const torn = tree.openStorage(coalescing, {
    folder: withoutNextMaps(folder),
    catalog: withoutRebase(catalog),
  })
  await settle(torn, srUuid)
  await expectShown(tree, torn, models)
  const restarted = tree.openStorage()
  await restarted.upkeep.recover()
  expect(await exportAll(tree, restarted, uuids)).toEqual(before)

  const storage = tree.openStorage(coalescing)
  const readers = await Promise.all(uuids.map(async (uuid) => storage.contents.open(uuid)))
  await settle(storage, srUuid)
  expect(await exportAll(tree, storage, uuids)).toEqual(before)
  for (const { disk } of readers) await disk.close()
  await settle(storage, srUuid)

  expect(tree.errors).toEqual([])
  expect(await catalog.coalescing.nextRun(srUuid, limits)).toBeUndefined()
  expect(await folder.listStaging()).toEqual([])
  expect(await exportAll(tree, tree.openStorage(), uuids)).toEqual(before)
  await expectShown(tree, storage, models)
  merged += layers - (await catalog.layers.list(srUuid)).length
}

/** fast-check makes a failure smaller before it is told. */
const timeout = 180_000

describe('merging layers', () => {
  test(
    'changes no byte of any export, in memory',
    async () => {
      await fc.assert(
        fc.asyncProperty(program, (tried) => keepsAll(createMemoryFolder(), tried)),
        { numRuns: 10 },
      )
      expect(merged).toBeGreaterThan(0)
    },
    timeout,
  )

  test(
    'changes no byte of any export, in files with holes',
    async () => {
      const before = merged
      await fc.assert(
        fc.asyncProperty(program, async (tried) =>
          keepsAll(await openFileFolder(await createTestFolder()), tried),
        ),
        { numRuns: 4 },
      )
      expect(merged).toBeGreaterThanOrEqual(before)
    },
    timeout,
  )
})
