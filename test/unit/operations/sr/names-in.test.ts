// The names in a folder.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { namesIn } from '../../../../src/operations/sr/names-in.ts'
import { createTestFolder } from '../../../support/tools.ts'

test('all, those of folders, and none where there is no folder', async () => {
  const folder = await createTestFolder()
  await mkdir(join(folder, 'folder'))
  await writeFile(join(folder, 'file'), '')
  expect((await namesIn(folder, 'all')).toSorted()).toEqual(['file', 'folder'])
  expect(await namesIn(folder, 'folders')).toEqual(['folder'])
  expect(await namesIn(join(folder, 'none'), 'all')).toEqual([])
  await expect(namesIn(join(folder, 'file'), 'all')).rejects.toMatchObject({ code: 'ENOTDIR' })
})
