// The folders that go with a storage repository.

import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import { expect, test } from 'vitest'
import { removeOwnFolders } from '../../../../src/operations/sr/own-folders.ts'
import { ensureStaging } from '../../../../src/store/files/staging-folder.ts'
import { createTestFolder } from '../../../support/tools.ts'

const uuid = '0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0'

const start = async () => ({
  dataFolder: await createTestFolder(),
  log: pino({ level: 'silent' }),
})

test('in the data folder: both, where they are empty', async () => {
  const on = await start()
  const own = join(on.dataFolder, 'sr', uuid)
  await mkdir(join(own, 'staging'), { recursive: true })
  await writeFile(join(own, 'notes'), '')
  await removeOwnFolders(on, { uuid, path: '', readOnly: false })
  expect(await readdir(own)).toEqual(['notes'])
})

test('elsewhere: the staging folder alone, and where nothing may be written not even that', async () => {
  const on = await start()
  const path = await createTestFolder()
  await writeFile(join(path, 'disk.raw'), '')
  await ensureStaging(path, uuid)
  const before = await readdir(path)
  expect(before).toHaveLength(2)
  await removeOwnFolders(on, { uuid, path, readOnly: true })
  expect(await readdir(path)).toEqual(before)
  await removeOwnFolders(on, { uuid, path, readOnly: false })
  expect(await readdir(path)).toEqual(['disk.raw'])
})

test('a folder that is not there is no failure', async () => {
  const on = await start()
  await removeOwnFolders(on, { uuid, path: '', readOnly: false })
  expect(await readdir(on.dataFolder)).toEqual([])
})
