// Clones: disks of their own on layers that are there.

import { describe, expect, test } from 'vitest'
import { METADATA_ONLY } from '../../../src/catalog/schema.ts'
import { cloneVdi } from '../../../src/operations/clone-vdi.ts'
import { snapshotVdi } from '../../../src/operations/snapshot-vdi.ts'
import { MiB } from '../../../src/units.ts'
import { createTestSr } from '../../support/catalogs.ts'
import { createTestContent } from '../../support/content.ts'
import { expectSameBytes } from '../../support/disks.ts'

describe('a clone', () => {
  test('goes on apart from its source', async () => {
    const { context, create, write, read } = await createTestContent()
    const vdi = await create()
    await write(vdi, 0, 1)
    const clone = await cloneVdi(context, vdi)
    const before = await read(vdi)
    expectSameBytes(await read(clone), before)
    await write(clone, MiB, 2)
    await write(vdi, 2 * MiB, 3)
    expectSameBytes((await read(clone)).subarray(0, MiB), before.subarray(0, MiB))
    expect((await read(clone))[2 * MiB]).toBe(0)
    expect((await read(vdi))[MiB]).toBe(0)
  })

  test('of a snapshot can be written to; of a read-only disk it cannot', async () => {
    const { context, create, get } = await createTestContent()
    const vdi = await create({ cbtEnabled: true })
    const clone = await cloneVdi(context, await snapshotVdi(context, vdi))
    expect(await get(clone)).toMatchObject({
      readOnly: false,
      isSnapshot: false,
      snapshotOfUuid: null,
      snapshotTime: null,
      cbtEnabled: false,
    })
    const readOnly = await cloneVdi(context, await create({ readOnly: true }))
    expect((await get(readOnly)).readOnly).toBe(true)
  })

  test('is refused where only metadata is left, and where nothing may be written', async () => {
    const { context, create, catalog, storage, srUuid } = await createTestContent()
    const destroyed = await create({ type: METADATA_ONLY })
    await expect(cloneVdi(context, destroyed)).rejects.toMatchObject({
      code: 'VDI_INCOMPATIBLE_TYPE',
      params: [`OpaqueRef:${destroyed}`, METADATA_ONLY],
    })
    const readOnlySr = await createTestSr(catalog, { readOnly: true })
    storage.stores.attach(readOnlySr, storage.stores.get(srUuid))
    const other = await create({ srUuid: readOnlySr })
    await expect(cloneVdi(context, other)).rejects.toMatchObject({
      code: 'SR_OPERATION_NOT_SUPPORTED',
      params: [`OpaqueRef:${readOnlySr}`],
    })
    expect(await catalog.vdis.list()).toHaveLength(2)
  })
})
