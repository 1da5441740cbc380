// Storage repositories that come and go beside others that are in use, and what a crash left in them.

import { randomUUID } from 'node:crypto'
import { rename } from 'node:fs/promises'
import pino from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { CoalescingOptions } from '../../../src/store/upkeep/coalescer.ts'
import { createLayerStore } from '../../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../../src/store/files/memory-folder.ts'
import { openSrStore } from '../../../src/store/files/sr-store.ts'
import { createStorage } from '../../../src/store/storage.ts'
import { createLeases } from '../../../src/transfer/leases.ts'
import { createStorageRepositories } from '../../../src/operations/storage-repositories.ts'
import { createTransfers } from '../../../src/transfer/transfers.ts'
import { writeContent } from '../../../src/transfer/write-layer.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { createStartedCatalog } from '../../support/catalogs.ts'
import { createTestFolder } from '../../support/tools.ts'
import { within } from '../../support/wait.ts'

const size = MiB

const start = async (coalescing?: CoalescingOptions) => {
  const { catalog, srUuid } = await createStartedCatalog()
  const errors: unknown[] = []
  const storage = createStorage({
    catalog,
    onError: (error) => errors.push(error),
    ...(coalescing && { coalescing }),
  })
  onTestFinished(async () => {
    storage.upkeep.stop()
    await storage.upkeep.settled()
  })
  storage.stores.attach(srUuid, createLayerStore(createMemoryFolder()))
  const log = pino({ level: 'silent' })
  const context = { catalog, storage, transfers: createTransfers(4), leases: createLeases(), log }
  const repositories = createStorageRepositories(context, await createTestFolder())
  const sr = async (uuid = srUuid) => (await catalog.srs.get(uuid))!
  const create = async (location: string) => {
    const { type, contentType, shared } = await sr()
    const deviceConfig = { location }
    const names = { nameLabel: 'another', nameDescription: '' }
    const asked = {
      ...names,
      type,
      contentType,
      shared,
      deviceConfig,
      smConfig: {},
      mayNameAny: true,
    }
    return sr(await repositories.create(asked))
  }
  const write = async (vdiUuid: string): Promise<void> => {
    const vdi = (await catalog.vdis.get(vdiUuid))!
    await writeContent(context, vdi, { keepsContent: true }, (writer) =>
      writer.write(0, new Uint8Array(64 * KiB).fill(1)),
    )
  }
  /** As an import begins one. */
  const begin = async (srUuid: string): Promise<string> => {
    const uuid = randomUUID()
    const layer = { uuid, srUuid, parentUuid: null, format: 'qcow2', virtualSize: size } as const
    await catalog.layers.begin({ ...layer, createdAt: new Date() })
    return uuid
  }
  const layers = async (srUuid: string) =>
    (await catalog.layers.list(srUuid)).map(({ uuid }) => uuid)
  return { catalog, srUuid, storage, repositories, errors, sr, create, write, begin, layers }
}

test('a scan has the layers collected that nobody needs', async () => {
  const { catalog, srUuid, storage, repositories, sr, write, layers } = await start()
  const { uuid } = await catalog.vdis.create({ srUuid, virtualSize: size, format: 'qcow2' })
  await write(uuid)
  await storage.upkeep.settled()
  await catalog.vdis.destroy(uuid)
  expect(await layers(srUuid)).toHaveLength(1)
  await repositories.scan(await sr())
  expect(await layers(srUuid)).toEqual([])
})

describe('a folder that was away', () => {
  test('since the start: what a crash left there goes before anything is written; later nothing does', async () => {
    const { storage, repositories, create, begin, layers } = await start()
    const place = await createTestFolder()
    const made = await create(place)
    storage.stores.detach(made.uuid)
    await begin(made.uuid)
    await rename(place, `${place}-away`)
    storage.stores.attach(made.uuid, (await openSrStore(made, '/nowhere')).store)
    expect(await storage.upkeep.recover()).toBe(0)
    expect(await layers(made.uuid)).toHaveLength(1)
    await rename(`${place}-away`, place)

    // Attached, it could be imported into: by then it has been cleaned up.
    let leftWhenAttached: string[] | undefined
    const { store } = await openSrStore(made, '/nowhere')
    const clearing = async (): Promise<void> => {
      await store.clearStaging()
      if (storage.stores.isAttached(made.uuid)) leftWhenAttached = await layers(made.uuid)
    }
    await storage.upkeep.reattach(made.uuid, { ...store, clearStaging: clearing })
    expect(leftWhenAttached).toBeUndefined()
    expect(await layers(made.uuid)).toEqual([])

    // An import goes on while the folder goes and comes back.
    const importing = await begin(made.uuid)
    await rename(place, `${place}-away`)
    await expect(repositories.scan(made)).rejects.toMatchObject({ code: 'SR_NOT_ATTACHED' })
    await rename(`${place}-away`, place)
    await repositories.scan(made)
    expect(await layers(made.uuid)).toEqual([importing])
  })
})

test('what cannot be cleaned up at the start keeps no storage repository from being used', async () => {
  const { storage, srUuid, errors, create, begin, layers } = await start()
  const other = await create(await createTestFolder())
  storage.stores.attach(srUuid, {
    ...storage.stores.get(srUuid),
    clearStaging: () => Promise.reject(new Error('EIO')),
  })
  await begin(other.uuid)
  expect(await storage.upkeep.recover()).toBe(1)
  expect(await layers(other.uuid)).toEqual([])
  expect(errors).toMatchObject([{ message: 'EIO' }])
})

test('one is destroyed while layers of another are being merged', async () => {
  let reached = (): void => {}
  const atGate = new Promise<void>((resolve) => (reached = resolve))
  const { catalog, srUuid, storage, repositories, create, write, sr } = await start({
    maximumDepth: 1,
    log: { info: () => {}, error: () => {} },
    pace: {
      take: (_bytes, signal) =>
        new Promise((_resolve, reject) => {
          reached()
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        }),
    },
  })
  const { uuid } = await catalog.vdis.create({ srUuid, virtualSize: size, format: 'qcow2' })
  await write(uuid)
  await write(uuid)
  await within('merging', atGate)
  const other = await create(await createTestFolder())
  await within('destroying', repositories.destroy(other))
  expect(await catalog.srs.get(other.uuid)).toBeUndefined()
  expect(await sr()).toBeDefined()
  storage.upkeep.stop()
})
