// What may be destroyed, and what goes and stays then.

import { randomUUID } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { destroySr } from '../../../src/operations/destroy-sr.ts'
import { createTestRepositories } from '../../support/repositories.ts'
import { createTestFolder } from '../../support/tools.ts'
import { within } from '../../support/wait.ts'

test('its own folders go, a folder that was there before stays', async () => {
  const { context, catalog, create } = await createTestRepositories()
  const folder = await createTestFolder()
  const there = await create({ location: folder })
  const own = await create({})
  const inData = join(context.dataFolder, 'sr')
  expect(await readdir(inData)).toEqual([own.uuid])
  for (const { uuid } of [there, own]) await destroySr(context, uuid)
  expect(await readdir(inData)).toEqual([])
  expect(await readdir(folder)).toEqual([])
  expect(await catalog.srs.list()).toHaveLength(1)
})

test('a folder of its own that holds a file of somebody stays', async () => {
  const { context, create } = await createTestRepositories()
  const { uuid } = await create({})
  const folder = join(context.dataFolder, 'sr', uuid)
  await writeFile(join(folder, 'notes'), '')
  await destroySr(context, uuid)
  expect(await readdir(folder)).toEqual(['notes'])
})

test('one with a VDI, and one that nobody knows, are refused', async () => {
  const { context, srUuid, createVdi } = await createTestRepositories()
  await createVdi()
  await expect(destroySr(context, srUuid)).rejects.toMatchObject({
    code: 'SR_NOT_EMPTY',
    params: [`OpaqueRef:${srUuid}`],
  })
  await expect(destroySr(context, randomUUID())).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
})

test('one is destroyed while layers of another are being merged', async () => {
  let reached = (): void => {}
  const atGate = new Promise<void>((resolve) => (reached = resolve))
  const { context, catalog, srUuid, create, createVdi, write, sr } = await createTestRepositories({
    maximumDepth: 1,
    log: { info: () => {}, error: () => {} },
    pace: {
      take: (_bytes, signal) =>
        new Promise((_resolve, reject) => {
          reached()
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        }),
    },
  })
  const uuid = await createVdi()
  await write(uuid)
  await write(uuid)
  await within('merging', atGate)
  const other = await create({ location: await createTestFolder() })
  await within('destroying', destroySr(context, other.uuid))
  expect(await catalog.srs.get(other.uuid)).toBeUndefined()
  expect(await sr(srUuid)).toBeDefined()
})
