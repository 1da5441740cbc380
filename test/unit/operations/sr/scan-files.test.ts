// What follows from a scan. How files are looked at is in store/scanning.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import { expect, test } from 'vitest'
import { scanFiles } from '../../../../src/operations/sr/scan-files.ts'
import { createTestRepositories } from '../../../support/repositories.ts'

const bad = '0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0.vhd'

test('what was found is logged; where collecting fails the rest stands', async () => {
  const { context, createOnFolder } = await createTestRepositories()
  const { sr, folder } = await createOnFolder()
  await writeFile(join(folder, bad), 'x')
  const lines: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) })
  const { storage } = context
  const collectNow = () => Promise.reject(new Error('EIO'))
  const upkeep = { ...storage.upkeep, collectNow }
  await scanFiles({ ...context, log, storage: { ...storage, upkeep } }, sr)
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
    { msg: 'scanned', sr: sr.uuid, added: 0, changed: 0 },
    { msg: 'found by a scan', sr: sr.uuid, file: bad },
    { msg: 'collecting layers after a scan', sr: sr.uuid },
  ])
})
