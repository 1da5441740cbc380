// What becomes of files that others wrote when diskport writes on top of them: merges, imports,
// moves.

import { randomUUID } from 'node:crypto'
import { access, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { VdiRow } from '../../../../src/catalog/vdis.ts'
import { openFileFolder } from '../../../../src/store/files/file-folder.ts'
import { createLayerStore } from '../../../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../../../src/store/files/memory-folder.ts'
import { createStorage } from '../../../../src/store/storage.ts'
import type { Store } from '../../../../src/store/files/store.ts'
import { copyVdi } from '../../../../src/operations/copy-vdi.ts'
import { migrateVdi } from '../../../../src/operations/migrate-vdi.ts'
import { noTask } from '../../../../src/transfer/with-task.ts'
import { writeContent } from '../../../../src/transfer/write-layer.ts'
import { KiB, MiB } from '../../../../src/units.ts'
import { createStartedCatalog } from '../../../support/catalogs.ts'
import { readAll } from '../../../support/disks.ts'
import { createTestContext } from '../../../support/operation-context.ts'
import { createRawSource } from '../../../support/sources.ts'
import { writeVhd } from '../../../support/sr-folder.ts'
import { createTestFolder } from '../../../support/tools.ts'
import { undisturbed } from '../../../support/work.ts'

interface StartOptions {
  readonly wrap?: (store: Store) => Store
  readonly readOnly?: boolean
}

const start = async ({ wrap = (store) => store, readOnly = false }: StartOptions = {}) => {
  const { catalog, hostUuid, srUuid: firstSr } = await createStartedCatalog()
  const { type, contentType, shared, defaultFormat } = (await catalog.srs.get(firstSr))!
  const createSr = async (more: { path: string; readOnly: boolean }): Promise<string> => {
    const fields = { type, contentType, shared, defaultFormat, smConfig: {}, deviceConfig: {} }
    const sr = await catalog.srs.create({ ...fields, ...more, nameLabel: 'another', tags: [] })
    return sr.uuid
  }
  const folder = await createTestFolder()
  const srUuid = await createSr({ path: folder, readOnly })
  const storage = createStorage({
    catalog,
    onError: (error) => {
      throw error
    },
    coalescing: {
      maximumDepth: 2,
      pace: { take: async () => {} },
      log: { info: () => {}, error: () => {} },
    },
  })
  onTestFinished(() => storage.upkeep.settled())
  storage.stores.attach(srUuid, wrap(createLayerStore(await openFileFolder(folder))))
  const context = createTestContext({ catalog, storage, hostUuid })
  const vdi = async (uuid: string): Promise<VdiRow> => (await catalog.vdis.get(uuid))!
  return {
    catalog,
    srUuid,
    folder,
    storage,
    context,
    vdi,
    scan: () => storage.scanner.scan(srUuid),
    createSr,
    /** To a storage repository of its own. */
    moveAway: async (vdiUuid: string): Promise<void> => {
      const uuid = await createSr({ path: '', readOnly: false })
      storage.stores.attach(uuid, createLayerStore(createMemoryFolder()))
      await migrateVdi(context, { vdiUuid, srUuid: uuid }, noTask)
      await storage.upkeep.settled()
    },
    destroy: async (uuid: string): Promise<void> => {
      await catalog.vdis.destroy(uuid)
      await storage.upkeep.collectNow(srUuid)
    },
    layers: async () => (await catalog.layers.list(srUuid)).map((layer) => layer.uuid),
    read: async (uuid: string): Promise<Uint8Array> => {
      const { disk } = await storage.contents.open(uuid)
      const bytes = await readAll(disk)
      await disk.close()
      return bytes
    },
    write: async (uuid: string, value: number, keepsContent = true): Promise<void> => {
      const bytes = new Uint8Array(64 * KiB).fill(value)
      await writeContent(context, await vdi(uuid), { keepsContent, work: undisturbed }, (writer) =>
        writer.write(value * MiB, bytes),
      )
    },
  }
}

test('layers merged onto a file of others are found again when they are forgotten', async () => {
  const { catalog, srUuid, folder, storage, vdi, scan, read, write } = await start()
  const file = await writeVhd(folder)
  await scan()
  for (const value of [1, 2, 3, 4]) await write(file.uuid, value)
  await storage.upkeep.settled()
  const { layerUuid } = await vdi(file.uuid)
  const chain = await catalog.layers.chain(layerUuid!)
  expect(chain).toHaveLength(2)
  const content = await read(file.uuid)
  await catalog.forget.vdi(file.uuid)
  const { added, problems } = await storage.scanner.scan(srUuid)
  expect([...problems]).toEqual([])
  expect(added).toEqual([layerUuid])
  expect(Buffer.from(await read(layerUuid!)).equals(content)).toBe(true)
})

test('a file that changes while two disks are compared is compared as it is then', async () => {
  let beforeOpening = async (): Promise<void> => {}
  const wrap = (store: Store): Store => ({
    ...store,
    async openLayer(layer) {
      await beforeOpening()
      return store.openLayer(layer)
    },
  })
  const on = await start({ wrap })
  const [a, b] = [randomUUID(), randomUUID()]
  for (const uuid of [a, b]) {
    await createRawSource(on.folder, `${uuid}.raw`, { size: MiB, parts: [[0, 4096]] })
  }
  await on.scan()
  beforeOpening = async () => {
    beforeOpening = async () => {}
    await using file = await open(join(on.folder, `${a}.raw`), 'r+')
    await file.write(Buffer.alloc(4096, 7), 0, 4096, 512 * KiB)
  }
  const { map } = await on.storage.contents.changedBlocks(a, b, { narrow: 'always' })
  const changed = [...map.runs()].filter(({ kind }) => kind === 'data')
  expect(changed.map(({ offset }) => offset)).toEqual([512 * KiB])
})

const isThere = async ({ path }: { readonly path: string }): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

describe('a file of others that no VDI needs any more', () => {
  test('stays where the VDI was moved away, with what it lies on', async () => {
    const { folder, scan, read, moveAway, layers } = await start()
    const parent = await writeVhd(folder)
    const leaf = await writeVhd(folder, { parent })
    await scan()
    const content = await read(leaf.uuid)
    await moveAway(leaf.uuid)
    expect(Buffer.from(await read(leaf.uuid)).equals(content)).toBe(true)
    expect(await layers()).toEqual([])
    expect([await isThere(leaf), await isThere(parent)]).toEqual([true, true])
    const { added, problems } = await scan()
    expect(added).toEqual([])
    expect(problems.get(leaf.fileName)).toContain(`has a VDI of the uuid ${leaf.uuid}`)
  })

  test('stays where the VDI was moved out of a folder that is read-only', async () => {
    const { folder, scan, moveAway, layers } = await start({ readOnly: true })
    const leaf = await writeVhd(folder)
    await scan()
    await moveAway(leaf.uuid)
    expect(await layers()).toEqual([])
    expect(await isThere(leaf)).toBe(true)
  })

  test('stays where an import has replaced all, and goes on being read', async () => {
    const { storage, vdi, folder, scan, write, layers } = await start()
    const file = await writeVhd(folder)
    await scan()
    const { disk } = await storage.contents.open(file.uuid)
    await write(file.uuid, 1, false)
    await storage.upkeep.settled()
    expect(await layers()).toHaveLength(2)
    await readAll(disk)
    await disk.close()
    await storage.upkeep.settled()
    expect(await layers()).toEqual([(await vdi(file.uuid)).layerUuid])
    expect(await isThere(file)).toBe(true)
  })

  test('goes where the VDI was destroyed, as soon as nobody reads it', async () => {
    const { storage, folder, scan, destroy, layers } = await start()
    const file = await writeVhd(folder)
    await scan()
    const { disk } = await storage.contents.open(file.uuid)
    await destroy(file.uuid)
    expect(await isThere(file)).toBe(true)
    await disk.close()
    await storage.upkeep.settled()
    expect(await isThere(file)).toBe(false)
    expect(await layers()).toEqual([])
  })

  test('a parent stays below one that was moved away, though the other was destroyed', async () => {
    const { folder, scan, destroy, moveAway, layers } = await start()
    const parent = await writeVhd(folder)
    const [a, b] = [await writeVhd(folder, { parent }), await writeVhd(folder, { parent })]
    await scan()
    await destroy(a.uuid)
    await moveAway(b.uuid)
    expect(await Promise.all([a, b, parent].map(isThere))).toEqual([false, true, true])
    expect(await layers()).toEqual([])
  })

  test('one of ours stays below a file that others have put on it', async () => {
    const { folder, srUuid, catalog, storage, write, vdi, layers, destroy } = await start()
    const { uuid } = await catalog.vdis.create({ srUuid, virtualSize: 9 * MiB, format: 'vhd' })
    await write(uuid, 1)
    await storage.upkeep.settled()
    const { layerUuid } = await vdi(uuid)
    const parent = { fileName: `${layerUuid}.vhd`, imageUuid: layerUuid! }
    await writeVhd(folder, { parent })
    await destroy(uuid)
    expect(await layers()).toEqual([layerUuid])
    expect(await isThere({ path: join(folder, parent.fileName) })).toBe(true)
  })
})

test('what comes out of a read-only folder can be written', async () => {
  const on = await start({ readOnly: true })
  const file = await writeVhd(on.folder)
  await on.scan()
  expect((await on.vdi(file.uuid)).readOnly).toBe(true)
  const srUuid = await on.createSr({ path: '', readOnly: false })
  on.storage.stores.attach(srUuid, createLayerStore(createMemoryFolder()))
  const request = { vdiUuid: file.uuid, srUuid, baseUuid: null, intoUuid: null }
  const copy = await copyVdi(on.context, request, noTask)
  await on.moveAway(file.uuid)
  for (const uuid of [copy, file.uuid]) expect((await on.vdi(uuid)).readOnly).toBe(false)
})

test('a file that others have changed since the scan is moved as it is now', async () => {
  const on = await start()
  const uuid = randomUUID()
  await createRawSource(on.folder, `${uuid}.raw`, { size: MiB, parts: [[0, 4096]] })
  await on.scan()
  await using file = await open(join(on.folder, `${uuid}.raw`), 'r+')
  await file.write(Buffer.alloc(4096, 7), 0, 4096, 512 * KiB)
  await on.moveAway(uuid)
  expect((await on.read(uuid))[512 * KiB]).toBe(7)
})

test('a row that was read before another reader found a change is not taken for the new content', async () => {
  const on = await start()
  const [a, b] = [randomUUID(), randomUUID()]
  for (const uuid of [a, b]) {
    await createRawSource(on.folder, `${uuid}.raw`, { size: MiB, parts: [[0, 4096]] })
  }
  await on.scan()
  const [before, base] = [await on.vdi(a), await on.vdi(b)]
  await using file = await open(join(on.folder, `${a}.raw`), 'r+')
  await file.write(Buffer.alloc(4096, 7), 0, 4096, 512 * KiB)
  await on.read(a)
  const { contentUuid } = await on.vdi(a)
  expect(contentUuid).not.toBe(before.contentUuid)
  const whole = await on.storage.contents.open(before.uuid)
  const delta = await on.storage.contents.openDelta(before.uuid, base.uuid, { narrow: 'never' })
  for (const { vdi, disk } of [whole, delta]) {
    expect(vdi.contentUuid).toBe(contentUuid)
    await disk.close()
  }
})

test('a scan goes on though a layer that is only read lies on a file that others no longer need', async () => {
  const on = await start()
  const parent = await writeVhd(on.folder)
  const leaf = await writeVhd(on.folder, { parent })
  await on.scan()
  const vdi = { uuid: randomUUID(), nameLabel: 'the parent' }
  await on.storage.scanner.introduce(on.srUuid, parent.fileName, vdi)
  await on.write(vdi.uuid, 1)
  const { disk } = await on.storage.contents.open(vdi.uuid)
  await on.destroy(vdi.uuid)
  // The leaf becomes a whole image of the same name.
  await rm(leaf.path)
  await writeVhd(on.folder, { uuid: leaf.uuid })
  expect((await on.scan()).changed).toEqual([leaf.uuid])
  await disk.close()
  await on.storage.upkeep.settled()
  expect(await on.layers()).toEqual([leaf.uuid])
  expect(await isThere(parent)).toBe(true)
})
