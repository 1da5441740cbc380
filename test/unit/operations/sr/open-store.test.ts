// Stores as the rows of their storage repositories say.

import { randomUUID } from 'node:crypto'
import { rename } from 'node:fs/promises'
import pino from 'pino'
import { expect, test } from 'vitest'
import { openStore, openStoreOrWarn, reattach } from '../../../../src/operations/sr/open-store.ts'
import { createTestRepositories } from '../../../support/repositories.ts'

test('a folder that is away gives a store that says so, and a line in the log', async () => {
  const { context, createOnFolder } = await createTestRepositories()
  const { sr, folder } = await createOnFolder()
  expect((await openStore(context, sr)).reason).toBeUndefined()
  await rename(folder, `${folder}-away`)
  const lines: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) })
  const { whyDetached } = await openStoreOrWarn({ ...context, log }, sr)
  await rename(`${folder}-away`, folder)
  expect(whyDetached).toContain('ENOENT')
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
    { sr: sr.uuid, reason: whyDetached },
  ])
})

test('a storage repository is attached as its row says now', async () => {
  const { context, catalog, storage, createOnFolder } = await createTestRepositories()
  const { sr } = await createOnFolder()
  for (const isPlugged of [false, true]) {
    await catalog.srs.update(sr.uuid, () => ({ isPlugged }))
    await reattach(context, sr.uuid)
    expect(storage.stores.isAttached(sr.uuid)).toBe(isPlugged)
  }
  await expect(reattach(context, randomUUID())).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
})
