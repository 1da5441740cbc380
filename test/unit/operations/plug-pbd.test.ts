// A storage repository that is attached again.

import { rename } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { plugPbd } from '../../../src/operations/plug-pbd.ts'
import { pbdUuid } from '../../../src/operations/sr/pbds.ts'
import { unplugPbd } from '../../../src/operations/unplug-pbd.ts'
import { createTestRepositories } from '../../support/repositories.ts'
import { createRawSource } from '../../support/sources.ts'

/** An SR on a folder with one image, unplugged. */
const start = async () => {
  const on = await createTestRepositories()
  const { sr, folder, vdi } = await on.createOnFolder()
  const pbd = pbdUuid(on.hostUuid, sr.uuid)
  await unplugPbd(on.context, pbd)
  return { ...on, srUuid: sr.uuid, folder, vdi, pbd }
}

test('has what was put into its folder meanwhile', async () => {
  const { context, catalog, storage, srUuid, folder, vdi, pbd } = await start()
  const more = randomUUID()
  await createRawSource(folder, `${more}.raw`, { size: 4096, parts: [] })
  await plugPbd(context, pbd)
  expect(storage.stores.isAttached(srUuid)).toBe(true)
  expect((await catalog.vdis.uuids()).toSorted()).toEqual([vdi, more].toSorted())
  await plugPbd(context, pbd)
})

test('stays unplugged where its folder is away', async () => {
  const { context, sr, srUuid, folder, pbd } = await start()
  await rename(folder, `${folder}-away`)
  await expect(plugPbd(context, pbd)).rejects.toMatchObject({
    code: 'SR_NOT_ATTACHED',
    params: [`OpaqueRef:${srUuid}`],
  })
  expect((await sr(srUuid)).isPlugged).toBe(false)
  await rename(`${folder}-away`, folder)
  await plugPbd(context, pbd)
  expect((await sr(srUuid)).isPlugged).toBe(true)
})
