// What a reader is given: a VDI and the layers that it shows at one moment.

import { expect, test } from 'vitest'
import type { OpenedContent } from '../../../../src/store/reading/opened-content.ts'
import { AppError } from '../../../../src/errors.ts'
import { createTestContent } from '../../../support/content.ts'
import { expectSameBytes, readAll } from '../../../support/disks.ts'

/** Opens a VDI that is destroyed and collected so many microtasks later: what comes of it. */
const openWhileDestroyed = async (delay: number): Promise<string> => {
  const { create, write, read, catalog, storage, srUuid, layers, errors } =
    await createTestContent()
  const uuid = await create()
  await write(uuid, 0, 1)
  const before = await read(uuid)
  const opening = storage.contents.open(uuid).catch((error: unknown) => error)
  for (let step = 0; step < delay; step += 1) await Promise.resolve()
  await catalog.vdis.destroy(uuid)
  storage.upkeep.collect(srUuid)
  const content = await opening
  const outcome = content instanceof AppError ? content.code : undefined
  if (outcome === undefined) {
    const { disk } = content as OpenedContent
    expectSameBytes(await readAll(disk), before)
    await disk.close()
  }
  expect((await layers()).here).toBe(0)
  expect(errors).toEqual([])
  return outcome ?? 'opened'
}

test('what is opened stays until it is closed, whenever the VDI is destroyed meanwhile', async () => {
  const outcomes = new Set<string>()
  for (let delay = 0; delay <= 400; delay += 20) outcomes.add(await openWhileDestroyed(delay))
  expect(outcomes).toEqual(new Set(['HANDLE_INVALID', 'opened']))
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
