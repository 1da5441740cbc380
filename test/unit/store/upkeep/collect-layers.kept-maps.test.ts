// Snapshots whose data was destroyed: what goes, what still tells the difference, and what a crash
// leaves.

import { readdir } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { MapRun } from '../../../../src/disk/block-map.ts'
import { createLayerLocks } from '../../../../src/store/reading/layer-locks.ts'
import { createMapCache } from '../../../../src/store/reading/map-cache.ts'
import { readMaps } from '../../../../src/store/reading/open-chain.ts'
import type { Storage } from '../../../../src/store/storage.ts'
import type { Catalog } from '../../../../src/catalog/catalog.ts'
import type { FormatName } from '../../../../src/format-table.ts'
import { formatsAtRest } from '../../../../src/format-table.ts'
import { openFileFolder } from '../../../../src/store/files/file-folder.ts'
import type { LayerFolder } from '../../../../src/store/files/layer-folder.ts'
import { createMemoryFolder } from '../../../../src/store/files/memory-folder.ts'
import { KiB, MiB } from '../../../../src/units.ts'
import { listExtents } from '../../../support/disks.ts'
import { createLayerTree, settle, unhurried } from '../../../support/layer-trees.ts'
import { createTestFolder } from '../../../support/tools.ts'

const size = 4 * MiB
const at = (offset: number) => [{ kind: 'data' as const, offset, length: 192 * KiB }]

/** A disk with a snapshot below it, which a replaced disk no longer needs. */
const start = async (folder: LayerFolder = createMemoryFolder(), format: FormatName = 'qcow2') => {
  const tree = await createLayerTree(folder)
  const uuid = await tree.createVdi(size, format)
  await tree.write(uuid, at(0))
  await tree.write(uuid, at(MiB))
  const snapshot = await tree.copyOf(uuid, { cbtEnabled: true })
  await tree.write(uuid, at(2 * MiB))
  return { ...tree, uuid, snapshot }
}

type Started = Awaited<ReturnType<typeof start>>

const deltaOf = async ({ storage, uuid, snapshot }: Started, on = storage) => {
  const { disk } = await on.contents.openDelta(uuid, snapshot, { narrow: 'never' })
  const extents = await listExtents(disk)
  await disk.close()
  return extents
}

/** Lets go of the disk's layers: nobody needs the data of the snapshot's but the snapshot. */
const detachDisk = async (tree: Started): Promise<void> => {
  const { catalog, srUuid, uuid, write, createVdi, copyOf, storage } = tree
  const other = await createVdi(size, 'qcow2')
  await write(other, at(3 * MiB))
  await catalog.vdis.destroy(uuid)
  await copyOf(other, { uuid, isSnapshot: false, snapshotOfUuid: null })
  await catalog.vdis.destroy(other)
  await settle(storage, srUuid)
}

describe('destroyed data', () => {
  test.each(formatsAtRest)('of %s: the map still tells what differs, exactly', async (format) => {
    const path = await createTestFolder()
    const tree = await start(await openFileFolder(path), format)
    const { catalog, srUuid, snapshot, storage, vdi } = tree
    const used = async () =>
      (await catalog.layers.list(srUuid)).reduce((sum, { fileSize }) => sum + fileSize, 0)
    await detachDisk(tree)
    const whole = await deltaOf(tree)
    const usedBefore = await used()
    expect(whole.some(({ kind }) => kind === 'data')).toBe(true)

    await catalog.keptMaps.destroyData(snapshot)
    await settle(storage, srUuid)
    expect(await deltaOf(tree)).toEqual(whole)
    expect(await deltaOf(tree, tree.openStorage())).toEqual(whole)
    expect(await used()).toBeLessThanOrEqual(usedBefore - 2 * 192 * KiB)
    expect(await catalog.keptMaps.list()).toHaveLength(2)
    expect(await catalog.utilisation.ofVdi(await vdi(snapshot))).toBe(0)
    const names = (await readdir(path)).filter((name) => name !== 'staging')
    expect(names.filter((name) => name.endsWith('.map.json')).length).toBeGreaterThanOrEqual(2)
    expect(names.filter((name) => !name.endsWith('.map.json'))).toHaveLength(1)

    await expect(storage.contents.open(snapshot)).rejects.toMatchObject({
      code: 'VDI_INCOMPATIBLE_TYPE',
      params: [`OpaqueRef:${snapshot}`, 'cbt_metadata'],
    })
    expect(await runsOf(tree, storage, snapshot)).toHaveLength(2)
    await catalog.vdis.destroy(snapshot)
    await settle(storage, srUuid)
    expect(await catalog.layers.list(srUuid)).toHaveLength(1)
    expect(tree.errors).toEqual([])
  })

  test('that a disk still lies on stays, until the disk goes', async () => {
    const tree = await start()
    const { catalog, srUuid, snapshot, storage, uuid } = tree
    const whole = await deltaOf(tree)
    await catalog.keptMaps.destroyData(snapshot)
    await settle(storage, srUuid)
    expect(await catalog.keptMaps.list()).toEqual([])
    expect(await deltaOf(tree)).toEqual(whole)
    await catalog.vdis.destroy(uuid)
    await settle(storage, srUuid)
    expect(await catalog.keptMaps.list()).toHaveLength(2)
  })

  test('a reader keeps the data until it is done', async () => {
    const tree = await start()
    const { catalog, srUuid, snapshot, storage, uuid } = tree
    await catalog.vdis.destroy(uuid)
    const reader = await storage.contents.open(snapshot)
    await catalog.keptMaps.destroyData(snapshot)
    await settle(storage, srUuid)
    expect(await catalog.keptMaps.list()).toEqual([])
    await reader.disk.read(0, new Uint8Array(KiB))
    await reader.disk.close()
    await storage.upkeep.settled()
    expect(await catalog.keptMaps.list()).toHaveLength(2)
  })

  test('layers without data are not merged', async () => {
    const tree = await start()
    const { catalog, srUuid, snapshot, uuid } = tree
    await catalog.keptMaps.destroyData(snapshot)
    await catalog.vdis.destroy(uuid)
    await settle(tree.openStorage({ ...unhurried, maximumDepth: 1 }), srUuid)
    expect(await tree.depth(snapshot)).toBe(2)
    expect(tree.errors).toEqual([])
  })
})

/** What each layer of the VDI holds, top first, by a look at the files. */
const runsOf = async (
  { catalog, srUuid, vdi }: Started,
  storage: Storage,
  uuid: string,
): Promise<MapRun[][]> => {
  const source = {
    store: storage.stores.get(srUuid),
    maps: createMapCache(),
    locks: createLayerLocks(),
  }
  const { layerUuid } = await vdi(uuid)
  const maps = await readMaps(source, await catalog.layers.chain(layerUuid!))
  return maps.map((map) => [...map.runs()])
}

describe('a crash while data is destroyed', () => {
  const died = new Error('the process died')
  const crashes: Record<
    string,
    (tree: Started) => { readonly catalog?: Catalog; readonly folder?: LayerFolder }
  > = {
    'before the map is there': ({ folder }) => ({
      folder: {
        ...folder,
        publish: (name, as) =>
          name.endsWith('.json') ? Promise.reject(died) : folder.publish(name, as),
      },
    }),
    'before the catalog knows': ({ catalog }) => ({
      catalog: {
        ...catalog,
        keptMaps: { ...catalog.keptMaps, dropData: () => Promise.reject(died) },
      },
    }),
    'before the data goes': ({ folder }) => ({
      folder: { ...folder, remove: () => Promise.reject(died) },
    }),
  }

  test.each(Object.keys(crashes))('%s: the next start does the rest', async (moment) => {
    const tree = await start()
    const { catalog, srUuid, snapshot, uuid, vdi, folder, errors } = tree
    const expected = await runsOf(tree, tree.storage, snapshot)
    await catalog.vdis.destroy(uuid)
    await settle(tree.storage, srUuid)
    await catalog.keptMaps.destroyData(snapshot)
    const crashed = tree.openStorage(undefined, crashes[moment]!(tree))
    await expect(crashed.upkeep.collectNow(srUuid)).rejects.toThrow('the process died')

    const restarted = tree.openStorage()
    await restarted.upkeep.recover()
    expect(await catalog.keptMaps.list()).toHaveLength(2)
    expect(await runsOf(tree, restarted, snapshot)).toEqual(expected)
    const { layerUuid } = await vdi(snapshot)
    for (const { uuid, format } of await catalog.layers.chain(layerUuid!)) {
      expect(await folder.open(`${uuid}.${format}`)).toBeUndefined()
    }
    expect(errors).toEqual([])
  })
})
