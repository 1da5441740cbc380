// What a reader is given: a VDI and the layers that it shows at one moment.

import { expect, test } from 'vitest'
import { createTestContent } from '../../../support/content.ts'
import { expectSameBytes, readAll } from '../../../support/disks.ts'

test('what is opened stays until it is closed, whatever becomes of the VDI', async () => {
  const { create, write, read, catalog, storage, srUuid, layers, errors } =
    await createTestContent()
  const uuid = await create()
  await write(uuid, 0, 1)
  const before = await read(uuid)
  const opening = storage.contents.open(uuid)
  // Asked for while the row is read and its layers are pinned.
  const destroying = catalog.vdis.destroy(uuid).then(() => storage.upkeep.collect(srUuid))
  const { disk, vdi } = await opening
  await destroying
  expect((await layers()).here).toBe(1)
  expectSameBytes(await readAll(disk), before)
  expect(vdi.uuid).toBe(uuid)
  await disk.close()
  expect((await layers()).here).toBe(0)
  expect(errors).toEqual([])
})

test('a VDI that is pinned keeps its layers; one that is gone cannot be opened', async () => {
  const { create, write, catalog, storage, srUuid, layers } = await createTestContent()
  const { contents, upkeep } = storage
  const uuid = await create()
  await write(uuid, 0, 1)
  const { vdis, release } = await contents.pinVdis([uuid])
  await catalog.vdis.destroy(uuid)
  upkeep.collect(srUuid)
  expect((await layers()).here).toBe(1)
  const disk = await contents.openStretch(vdis[0]!.chain, vdis[0]!.vdi.virtualSize)
  await readAll(disk)
  await disk.close()
  release()
  expect((await layers()).here).toBe(0)
  await expect(contents.open(uuid)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
  await expect(contents.pinVdis([uuid])).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
})

test('a delta that is refused by its check releases its layers', async () => {
  const { create, write, catalog, storage, srUuid, layers } = await createTestContent()
  const [uuid, base] = [await create(), await create()] as const
  await write(uuid, 0, 1)
  const check = (): never => {
    throw new Error('refused')
  }
  const options = { narrow: 'always', check } as const
  await expect(storage.contents.openDelta(uuid, base, options)).rejects.toThrow('refused')
  await catalog.vdis.destroy(uuid)
  storage.upkeep.collect(srUuid)
  expect((await layers()).here).toBe(0)
})

test('the extents of a delta lie at depth 0, those of a whole VDI in their layers', async () => {
  const { create, write, storage } = await createTestContent()
  const [uuid, base] = [await create(), await create()] as const
  await write(uuid, 0, 1)
  await write(uuid, 0, 2)
  const depthsOf = async (opened: ReturnType<typeof storage.contents.open>) => {
    const content = await opened
    const depths = new Set<number>()
    for await (const { kind, depth } of content.runs()) if (kind === 'data') depths.add(depth)
    await content.disk.close()
    return depths
  }
  await write(uuid, 1024 * 1024, 3)
  const { contents } = storage
  expect(await depthsOf(contents.openRuns(uuid))).toEqual(new Set([0, 1]))
  expect(await depthsOf(contents.open(uuid))).toEqual(new Set([0, 1]))
  expect(await depthsOf(contents.openDelta(uuid, base, { narrow: 'never' }))).toEqual(new Set([0]))
})
