// Where a storage repository lies now: a folder must hold what it is known to hold.

import { randomUUID } from 'node:crypto'
import { cp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createPbd } from '../../../src/operations/create-pbd.ts'
import { destroyPbd } from '../../../src/operations/destroy-pbd.ts'
import { plugPbd } from '../../../src/operations/plug-pbd.ts'
import { pbdUuid } from '../../../src/operations/sr/pbds.ts'
import { unplugPbd } from '../../../src/operations/unplug-pbd.ts'
import { createTestRepositories } from '../../support/repositories.ts'
import { createRawSource } from '../../support/sources.ts'
import { createTestFolder } from '../../support/tools.ts'

/** An SR on a folder with one image, whose PBD was destroyed. */
const start = async () => {
  const on = await createTestRepositories()
  const { sr, folder, vdi } = await on.createOnFolder()
  const pbd = pbdUuid(on.hostUuid, sr.uuid)
  await unplugPbd(on.context, pbd)
  await destroyPbd(on.context, pbd)
  const create = (location: string, more: object = {}) =>
    createPbd(on.context, {
      hostUuid: on.hostUuid,
      srUuid: sr.uuid,
      deviceConfig: { location },
      otherConfig: { a: 'b' },
      mayNameAny: true,
      ...more,
    })
  return { ...on, srUuid: sr.uuid, folder, vdi, pbd, createPbd: create }
}

test('another folder with the same files', async () => {
  const { context, sr, storage, srUuid, folder, pbd, vdi, createPbd } = await start()
  const moved = join(await createTestFolder(), 'moved')
  await cp(folder, moved, { recursive: true, preserveTimestamps: true })
  expect(await createPbd(moved)).toBe(pbd)
  expect(await sr(srUuid)).toMatchObject({
    path: moved,
    hasPbd: true,
    isPlugged: false,
    pbdOtherConfig: { a: 'b' },
  })
  expect(storage.stores.isAttached(srUuid)).toBe(false)
  await plugPbd(context, pbd)
  await (await storage.contents.open(vdi)).disk.close()
})

test('a folder with other files, an unknown host and an unknown SR are refused', async () => {
  const { sr, srUuid, createPbd } = await start()
  const other = await createTestFolder()
  await createRawSource(other, `${randomUUID()}.raw`, { size: 512, parts: [] })
  await expect(createPbd(other)).rejects.toMatchObject({
    code: 'VALUE_NOT_SUPPORTED',
    params: ['device_config:location', other, expect.stringContaining('none of the 1 image')],
  })
  expect(await readdir(other)).toHaveLength(1)
  for (const unknown of [{ hostUuid: randomUUID() }, { srUuid: randomUUID() }]) {
    await expect(createPbd(other, unknown)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
  }
  expect((await sr(srUuid)).hasPbd).toBe(false)
})

test('of two at once, one is made', async () => {
  const { folder, hostUuid, srUuid, pbd, createPbd } = await start()
  const [first, second] = await Promise.allSettled([createPbd(folder), createPbd(folder)])
  expect(first).toMatchObject({ status: 'fulfilled', value: pbd })
  expect(second).toMatchObject({
    status: 'rejected',
    reason: {
      code: 'PBD_EXISTS',
      params: [srUuid, hostUuid, pbd].map((uuid) => `OpaqueRef:${uuid}`),
    },
  })
})
