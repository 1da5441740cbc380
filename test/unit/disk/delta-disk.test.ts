// Deltas between disks whose layers form a tree: sent and applied, each gives the other.

import { describe, expect, test } from 'vitest'
import { collectBlockMap } from '../../../src/disk/block-map.ts'
import { createChainDisk, createChainOnDemand } from '../../../src/disk/chain-disk.ts'
import { changedBlocks, collectDeltaMap, createDeltaDisk } from '../../../src/disk/delta-disk.ts'
import type { Disk } from '../../../src/disk/disk.ts'
import type { ByteRange } from '../../../src/disk/extents.ts'
import { diskLaws } from '../../laws/disk-laws.ts'
import { writeDisk } from '../../laws/format-laws.ts'
import type { PatternPart } from '../../support/disks.ts'
import { createPatternDisk, expectSameBytes, listExtents, readAll } from '../../support/disks.ts'
import { createMemoryDisk } from '../../../src/disk/memory-disk.ts'

const K = 1024
const layers: Record<string, readonly PatternPart[]> = {
  root: [
    ['data', 64 * K],
    ['hole', 64 * K],
    ['data', 64 * K],
    ['hole', 64 * K],
  ],
  left: [
    ['hole', 32 * K],
    ['zero', 64 * K],
    ['hole', 160 * K],
  ],
  right: [
    ['hole', 16 * K],
    ['data', 32 * K],
    ['hole', 80 * K],
    ['zero', 64 * K],
    ['hole', 64 * K],
  ],
  short: [['hole', 128 * K]],
  other: [
    ['hole', 200 * K],
    ['data', 56 * K],
  ],
  grown: [
    ['hole', 256 * K],
    ['data', 64 * K],
  ],
}

/** A disk of the layers named, top first. */
const open = async (names: readonly string[], size = 256 * K) => {
  const path = await Promise.all(
    names.map(async (uuid) => {
      const disk = createPatternDisk(layers[uuid]!, Object.keys(layers).indexOf(uuid) + 1)
      return { uuid, disk, map: await collectBlockMap(disk) }
    }),
  )
  return { disk: createChainDisk(path, size), path }
}

const deltaOf = async (
  names: readonly string[],
  baseNames: readonly string[],
  size?: number,
  baseSize?: number,
) => {
  const [target, base] = [await open(names, size), await open(baseNames, baseSize)]
  const mapsWithout = (path: typeof target.path, other: typeof target.path) =>
    path.filter(({ uuid }) => !other.some((layer) => layer.uuid === uuid)).map(({ map }) => map)
  const own = mapsWithout(target.path, base.path)
  const shared = target.path.filter(({ uuid }) => baseNames.includes(uuid))
  const changed = changedBlocks(
    {
      own,
      others: mapsWithout(base.path, target.path),
      baseSize: base.disk.size,
      sharedSize: Math.max(0, ...shared.map(({ map }) => map.size)),
    },
    target.disk.size,
  )
  const delta = createDeltaDisk(target.disk, await collectDeltaMap(target.disk, changed, own))
  return { delta, target, base, changed, own }
}

const apply = async (delta: Disk, base: Disk): Promise<Disk> => {
  const result = createMemoryDisk(Math.max(delta.size, base.size))
  await writeDisk(base, result, 512)
  await writeDisk(delta, result, 512)
  return result
}

describe('delta disk', () => {
  test.each([
    ['a descendant', ['left', 'root'], ['root']],
    ['the way back', ['root'], ['left', 'root']],
    ['a sibling', ['left', 'root'], ['right', 'root']],
    ['unrelated disks', ['left', 'root'], ['other']],
    ['an empty base', ['left', 'root'], []],
    ['an empty disk', [], ['left', 'root']],
    ['the same disk', ['left', 'root'], ['left', 'root']],
  ])('%s: the base and the delta give the disk', async (_name, names, baseNames) => {
    const { delta, target, base } = await deltaOf(names, baseNames)
    expectSameBytes(await readAll(await apply(delta, base.disk)), await readAll(target.disk))
  })

  test('a disk that has grown', async () => {
    const { delta, target, base } = await deltaOf(['grown', 'root'], ['root'], 320 * K)
    expectSameBytes(await readAll(await apply(delta, base.disk)), await readAll(target.disk))
    expect((await listExtents(delta))[0]).toEqual({ offset: 0, length: 256 * K, kind: 'hole' })
  })

  test.each([
    ['a layer hides what those below hold beyond its end', ['grown', 'short', 'root'], 320 * K],
    ['and so does a base that is smaller than a layer that both have', ['root'], 256 * K],
  ])('%s', async (_name, names, size) => {
    const { delta, target, base } = await deltaOf(names, ['root'], size, Math.min(size, 160 * K))
    expectSameBytes(await readAll(await apply(delta, base.disk)), await readAll(target.disk))
    const back = await deltaOf(['root'], names, 256 * K, size)
    const restored = await readAll(await apply(back.delta, back.base.disk))
    expectSameBytes(restored.subarray(0, 256 * K), await readAll(back.target.disk))
  })

  test('the layers that both have are asked only where the others say nothing', async () => {
    const { changed, own, target } = await deltaOf(['left', 'root'], ['right', 'root'])
    const asked: unknown[] = []
    const root = target.path[1]!.disk
    const watched = {
      ...root,
      extents: (range?: ByteRange) => {
        asked.push({ offset: range?.offset, length: range?.length })
        return root.extents(range)
      },
    }
    const layers = [target.path[0]!, { disk: watched }]
    const map = await collectDeltaMap(createChainOnDemand(layers, 256 * K), changed, own)
    expect(asked).toEqual([
      { offset: 16 * K, length: 16 * K },
      { offset: 128 * K, length: 64 * K },
    ])
    expect(map.countBytes('data')).toBe(80 * K)
  })

  test('nothing but what one of the layers between holds is in it', async () => {
    const { delta } = await deltaOf(['left', 'root'], ['right', 'root'])
    expect(await listExtents(delta)).toEqual([
      { offset: 0, length: 16 * K, kind: 'hole' },
      { offset: 16 * K, length: 16 * K, kind: 'data' },
      { offset: 32 * K, length: 64 * K, kind: 'zero' },
      { offset: 96 * K, length: 32 * K, kind: 'hole' },
      { offset: 128 * K, length: 64 * K, kind: 'data' },
      { offset: 192 * K, length: 64 * K, kind: 'hole' },
    ])
  })

  test('the same disk is an empty delta', async () => {
    const { delta } = await deltaOf(['left', 'root'], ['left', 'root'])
    expect(await listExtents(delta)).toEqual([{ offset: 0, length: 256 * K, kind: 'hole' }])
  })

  test('it reads as the disk everywhere, holes too', async () => {
    const { delta, target } = await deltaOf(['left', 'root'], ['root'])
    expectSameBytes(await readAll(delta), await readAll(target.disk))
  })

  diskLaws(
    'a delta between unrelated disks',
    async () => (await deltaOf(['left', 'root'], ['other'])).delta,
  )
})
