// The record of a storage repository that lies somewhere already.

import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { introduceSr } from '../../../src/operations/introduce-sr.ts'
import { createTestRepositories } from '../../support/repositories.ts'

const recordOf = (uuid: string, type = 'file') => ({
  uuid,
  nameLabel: 'moved',
  nameDescription: '',
  type,
  contentType: 'user',
  shared: false,
  smConfig: {},
})

test('has no PBD, and nothing can be read there', async () => {
  const { context, sr, storage } = await createTestRepositories()
  const uuid = randomUUID()
  await introduceSr(context, recordOf(uuid))
  expect(await sr(uuid)).toMatchObject({ nameLabel: 'moved', hasPbd: false, isPlugged: false })
  expect(storage.stores.get(uuid).whyDetached).toContain('pbd-create')
  await expect(storage.scanner.scan(uuid)).rejects.toMatchObject({ code: 'SR_NOT_ATTACHED' })
})

test('a uuid that is taken, and an unknown type, are refused', async () => {
  const { context, catalog, srUuid } = await createTestRepositories()
  await expect(introduceSr(context, recordOf(srUuid))).rejects.toMatchObject({
    code: 'SR_UUID_EXISTS',
    params: [srUuid],
  })
  await expect(introduceSr(context, recordOf(randomUUID(), 'nfs'))).rejects.toMatchObject({
    code: 'SR_UNKNOWN_DRIVER',
    params: ['nfs'],
  })
  expect(await catalog.srs.list()).toHaveLength(1)
})
