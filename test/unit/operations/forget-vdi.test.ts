// A VDI that is forgotten: its file stays, and comes back.

import { readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { forgetVdi } from '../../../src/operations/forget-vdi.ts'
import { scanSr } from '../../../src/operations/scan-sr.ts'
import { createTestRepositories } from '../../support/repositories.ts'

test('its file stays, and a scan finds it again', async () => {
  const { context, catalog, createOnFolder } = await createTestRepositories()
  const { sr, folder, vdi } = await createOnFolder()
  const files = await readdir(folder)
  await forgetVdi(context, vdi)
  expect(await catalog.vdis.list()).toEqual([])
  expect(await catalog.layers.list(sr.uuid)).toEqual([])
  expect(await readdir(folder)).toEqual(files)
  await scanSr(context, sr.uuid)
  expect(await catalog.vdis.uuids()).toEqual([vdi])
})

test('one that is written into is not forgotten', async () => {
  const { context, catalog, createVdi } = await createTestRepositories()
  const vdi = await createVdi()
  const release = context.leases.take(vdi, 'OpaqueRef:task')
  await expect(forgetVdi(context, vdi)).rejects.toMatchObject({
    code: 'VDI_IN_USE',
    params: [`OpaqueRef:${vdi}`, 'OpaqueRef:task'],
  })
  expect(await catalog.vdis.uuids()).toEqual([vdi])
  release()
  await forgetVdi(context, vdi)
  await expect(forgetVdi(context, vdi)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
})
