// What is forgotten with a storage repository, and what stays.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { forgetSr } from '../../../src/operations/forget-sr.ts'
import { createTestRepositories } from '../../support/repositories.ts'

test('its rows go with it, its files stay', async () => {
  const { context, catalog, storage, srUuid, createOnFolder } = await createTestRepositories()
  const { folder, sr, vdi } = await createOnFolder()
  const told: string[] = []
  catalog.changes.subscribe(({ className, operation }) => told.push(`${className} ${operation}`))
  await forgetSr(context, sr.uuid)
  expect(await readdir(folder)).toEqual([`${vdi}.raw`])
  expect(await catalog.vdis.list()).toEqual([])
  expect(storage.stores.list()).toEqual([srUuid])
  expect(told).toContain('PBD del')
  await expect(forgetSr(context, sr.uuid)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
})

test('one in the data folder goes only when it is empty: nothing could find it again', async () => {
  const { context, catalog, create, srUuid, createVdi } = await createTestRepositories()
  await createVdi()
  await expect(forgetSr(context, srUuid)).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' })
  const empty = await create({})
  await forgetSr(context, empty.uuid)
  expect(await readdir(join(context.dataFolder, 'sr'))).toEqual([])
  expect((await catalog.srs.list()).map(({ uuid }) => uuid)).toEqual([srUuid])
})

test('one in which a VDI is read or written stays', async () => {
  const { context, storage, createOnFolder } = await createTestRepositories()
  const { sr, vdi } = await createOnFolder()
  const busy = { code: 'OTHER_OPERATION_IN_PROGRESS', params: ['SR', `OpaqueRef:${sr.uuid}`] }
  const { disk } = await storage.contents.open(vdi)
  await expect(forgetSr(context, sr.uuid)).rejects.toMatchObject(busy)
  await disk.close()
  const release = context.leases.take(vdi, 'an import')
  await expect(forgetSr(context, sr.uuid)).rejects.toMatchObject(busy)
  release()
  await forgetSr(context, sr.uuid)
})
