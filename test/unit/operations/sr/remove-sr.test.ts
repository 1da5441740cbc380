// What goes with a storage repository. Its folders are in own-folders.test.ts.

import { access, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Change } from '../../../../src/catalog/changes.ts'
import { scanSr } from '../../../../src/operations/scan-sr.ts'
import { problemFile } from '../../../../src/operations/sr/problem-files.ts'
import { hasVdis, removeSr } from '../../../../src/operations/sr/remove-sr.ts'
import { createTestRepositories } from '../../../support/repositories.ts'

test('its rows, its store, its file of problems, and its PBD', async () => {
  const { context, catalog, storage, createOnFolder } = await createTestRepositories()
  const { sr, folder } = await createOnFolder()
  await writeFile(join(folder, '0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0.vhd'), 'x')
  await scanSr(context, sr.uuid)
  const problems = problemFile(context.dataFolder, sr.uuid)
  await access(problems)
  expect(await hasVdis(context, sr)).toBe(true)
  const changes: Change[] = []
  catalog.changes.subscribe((change) => changes.push(change))
  await removeSr(context, sr)
  expect(await hasVdis(context, sr)).toBe(false)
  expect(await catalog.srs.get(sr.uuid)).toBeUndefined()
  expect(storage.stores.list()).not.toContain(sr.uuid)
  await expect(access(problems)).rejects.toMatchObject({ code: 'ENOENT' })
  expect(changes.at(-1)).toMatchObject({ className: 'PBD', operation: 'del' })
})

test('while something is written there, nothing goes', async () => {
  const { context, catalog, begin, create } = await createTestRepositories()
  const sr = await create({})
  await begin(sr.uuid)
  await expect(removeSr(context, sr)).rejects.toMatchObject({
    code: 'OTHER_OPERATION_IN_PROGRESS',
  })
  expect(await catalog.srs.get(sr.uuid)).toEqual(sr)
})
