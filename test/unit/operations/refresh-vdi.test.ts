// Files that others have changed, looked at again when a client asks for it.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { METADATA_ONLY } from '../../../src/catalog/schema.ts'
import { refreshVdi } from '../../../src/operations/refresh-vdi.ts'
import { createTestContent } from '../../support/content.ts'
import { createTestRepositories } from '../../support/repositories.ts'
import { createRawSource } from '../../support/sources.ts'

test('follows a file that others have replaced', async () => {
  const { context, catalog, createOnFolder } = await createTestRepositories()
  const { folder, vdi } = await createOnFolder()
  const before = (await catalog.vdis.get(vdi))!
  await createRawSource(folder, `${vdi}.raw`, { size: 8192, parts: [[0, 512]] })
  await refreshVdi(context, vdi)
  const after = (await catalog.vdis.get(vdi))!
  expect(after.virtualSize).toBe(8192)
  expect(after.contentUuid).not.toBe(before.contentUuid)
})

test('says which file has gone', async () => {
  const { context, createOnFolder } = await createTestRepositories()
  const { folder, vdi } = await createOnFolder()
  await rm(join(folder, `${vdi}.raw`))
  await expect(refreshVdi(context, vdi)).rejects.toThrow(`${vdi}.raw`)
})

test('has nothing to look at where only metadata is left', async () => {
  const { context, create } = await createTestContent()
  await expect(refreshVdi(context, await create({ type: METADATA_ONLY }))).resolves.toBeUndefined()
})
