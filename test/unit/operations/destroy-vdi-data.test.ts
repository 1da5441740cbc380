// A snapshot that gives up its data, and what keeps it. What is still told of it is in
// store/upkeep/kept-maps.test.ts.

import { expect, test } from 'vitest'
import { METADATA_ONLY } from '../../../src/catalog/schema.ts'
import { destroyVdiData } from '../../../src/operations/destroy-vdi-data.ts'
import { snapshotVdi } from '../../../src/operations/snapshot-vdi.ts'
import { createTestContent } from '../../support/content.ts'

/** A disk with a layer of its own above that of its snapshot. */
const start = async () => {
  const on = await createTestContent()
  const vdi = await on.create({ cbtEnabled: true })
  await on.write(vdi, 0, 1)
  const snapshot = await snapshotVdi(on.context, vdi)
  return { ...on, vdi, snapshot }
}

test('the room is free when it returns', async () => {
  const { context, catalog, get, snapshot, vdi, srUuid } = await start()
  await catalog.vdis.destroy(vdi)
  await destroyVdiData(context, snapshot)
  expect((await get(snapshot)).type).toBe(METADATA_ONLY)
  expect(await catalog.layers.list(srUuid)).toMatchObject([{ hasData: false, fileSize: 0 }])
})

test('a disk, and a snapshot that is in use, keep their data', async () => {
  const { context, catalog, vdi, snapshot, srUuid } = await start()
  await expect(destroyVdiData(context, vdi)).rejects.toMatchObject({
    code: 'OPERATION_NOT_ALLOWED',
  })
  const release = context.leases.take(snapshot, 'OpaqueRef:task', 'mirror')
  await expect(destroyVdiData(context, snapshot)).rejects.toMatchObject({
    code: 'VDI_IN_USE',
    params: [`OpaqueRef:${snapshot}`, 'OpaqueRef:task'],
  })
  release()
  expect(await catalog.layers.list(srUuid)).toMatchObject([{ hasData: true }])
})
