// What a scan found wrong, as it is shown and as a file.

import { randomUUID } from 'node:crypto'
import { access, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { listScanProblems } from '../../../src/operations/list-scan-problems.ts'
import { scanSr } from '../../../src/operations/scan-sr.ts'
import { createTestRepositories } from '../../support/repositories.ts'

test('is told until a scan finds nothing wrong any more', async () => {
  const { context, createOnFolder } = await createTestRepositories()
  const { sr, folder } = await createOnFolder()
  const bad = `${randomUUID()}.vhd`
  await writeFile(join(folder, bad), 'x')
  expect(listScanProblems(context, sr.uuid).problems.size).toBe(0)
  await scanSr(context, sr.uuid)
  const { problems, file } = listScanProblems(context, sr.uuid)
  expect(await readFile(file, 'utf8')).toBe(`${bad}: ${problems.get(bad)}\n`)
  await rm(join(folder, bad))
  await scanSr(context, sr.uuid)
  expect(listScanProblems(context, sr.uuid).problems.size).toBe(0)
  await expect(access(file)).rejects.toMatchObject({ code: 'ENOENT' })
})
