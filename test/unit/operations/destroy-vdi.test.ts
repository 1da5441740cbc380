// What goes with a VDI, and what keeps it.

import { expect, test } from 'vitest'
import { destroyVdi } from '../../../src/operations/destroy-vdi.ts'
import { snapshotVdi } from '../../../src/operations/snapshot-vdi.ts'
import { createTestSr } from '../../support/catalogs.ts'
import { createTestContent } from '../../support/content.ts'

test('the layers that only it needs go; those of a snapshot stay', async () => {
  const { context, create, write, layers } = await createTestContent()
  const vdi = await create()
  await write(vdi, 0, 1)
  const snapshot = await snapshotVdi(context, vdi)
  await write(vdi, 0, 2)
  expect(await layers()).toEqual({ here: 2, there: 0 })
  await destroyVdi(context, vdi)
  expect(await layers()).toEqual({ here: 1, there: 0 })
  await destroyVdi(context, snapshot)
  expect(await layers()).toEqual({ here: 0, there: 0 })
})

test('its task ends with it', async () => {
  const { context, create, catalog } = await createTestContent()
  const vdi = await create()
  const ref = await catalog.tasks.create({ nameLabel: 'Async.VDI.destroy', userUuid: null })
  await destroyVdi(context, vdi, ref)
  expect(await catalog.tasks.get(ref)).toMatchObject({ status: 'success', result: '' })
  await expect(destroyVdi(context, vdi)).rejects.toMatchObject({
    code: 'HANDLE_INVALID',
    params: ['VDI', `OpaqueRef:${vdi}`],
  })
})

test('one that is written into, or lies where nothing may be written, stays', async () => {
  const { context, create, catalog, storage, srUuid } = await createTestContent()
  const vdi = await create()
  const release = context.leases.take(vdi, 'OpaqueRef:task')
  await expect(destroyVdi(context, vdi)).rejects.toMatchObject({
    code: 'VDI_IN_USE',
    params: [`OpaqueRef:${vdi}`, 'OpaqueRef:task'],
  })
  release()
  const readOnlySr = await createTestSr(catalog, { readOnly: true })
  storage.stores.attach(readOnlySr, storage.stores.get(srUuid))
  const other = await create({ srUuid: readOnlySr })
  await expect(destroyVdi(context, other)).rejects.toMatchObject({
    code: 'SR_OPERATION_NOT_SUPPORTED',
  })
  expect((await catalog.vdis.list()).map(({ uuid }) => uuid).toSorted()).toEqual(
    [vdi, other].toSorted(),
  )
})
