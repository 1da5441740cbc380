// Scans of storage repositories, also of one whose folder was away.

import { randomUUID } from 'node:crypto'
import { rename } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { scanSr } from '../../../src/operations/scan-sr.ts'
import { openSrStore } from '../../../src/store/files/sr-store.ts'
import { createTestRepositories } from '../../support/repositories.ts'
import { createTestFolder } from '../../support/tools.ts'

test('a scan has the layers collected that nobody needs', async () => {
  const { context, catalog, srUuid, storage, createVdi, write, layers } =
    await createTestRepositories()
  const uuid = await createVdi()
  await write(uuid)
  await storage.upkeep.settled()
  await catalog.vdis.destroy(uuid)
  expect(await layers(srUuid)).toHaveLength(1)
  await scanSr(context, srUuid)
  expect(await layers(srUuid)).toEqual([])
})

describe('a folder that was away', () => {
  test('since the start: what a crash left there goes before anything is written; later nothing does', async () => {
    const { context, storage, create, begin, layers } = await createTestRepositories()
    const place = await createTestFolder()
    const made = await create({ location: place })
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
    await expect(scanSr(context, made.uuid)).rejects.toMatchObject({ code: 'SR_NOT_ATTACHED' })
    await rename(`${place}-away`, place)
    await scanSr(context, made.uuid)
    expect(await layers(made.uuid)).toEqual([importing])
  })
})

test('of an unknown storage repository is refused', async () => {
  const { context } = await createTestRepositories()
  const uuid = randomUUID()
  await expect(scanSr(context, uuid)).rejects.toMatchObject({
    code: 'HANDLE_INVALID',
    params: ['SR', `OpaqueRef:${uuid}`],
  })
})
