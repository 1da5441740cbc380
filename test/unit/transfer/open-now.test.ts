// A row and the layers that it names, with nothing in between.

import { expect, test } from 'vitest'
import { openNow } from '../../../src/transfer/open-now.ts'
import { createTestContent } from '../../support/content.ts'
import { expectSameBytes, readAll } from '../../support/disks.ts'

test('what is opened stays until it is closed, whatever becomes of the VDI', async () => {
  const { context, create, write, read, catalog, storage, srUuid, layers, errors } =
    await createTestContent()
  const uuid = await create()
  await write(uuid, 0, 1)
  const before = await read(uuid)
  const opening = openNow(context, uuid, undefined, (row) => storage.openVdi(row))
  // Asked for while the row is read and its layers are pinned.
  const destroying = catalog.vdis.destroy(uuid).then(() => storage.collect(srUuid))
  const { disk, vdi } = await opening
  await destroying
  expect((await layers()).here).toBe(1)
  expectSameBytes(await readAll(disk), before)
  expect(vdi.uuid).toBe(uuid)
  await disk.close()
  expect((await layers()).here).toBe(0)
  expect(errors).toEqual([])
})

test('a VDI that is held keeps its layers, and one that is not there is none', async () => {
  const { create, write, catalog, storage, srUuid, layers, context } = await createTestContent()
  const uuid = await create()
  await write(uuid, 0, 1)
  const { vdis, release } = await storage.holdVdis([uuid])
  await catalog.vdis.destroy(uuid)
  storage.collect(srUuid)
  expect((await layers()).here).toBe(1)
  const { disk } = await storage.openVdi(vdis[0]!)
  await disk.close()
  release()
  expect((await layers()).here).toBe(0)
  await expect(
    openNow(context, uuid, undefined, (row) => storage.openVdi(row)),
  ).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
})
