// A storage repository that lies nowhere from now on.

import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { destroyPbd } from '../../../src/operations/destroy-pbd.ts'
import { pbdUuid } from '../../../src/operations/sr/pbds.ts'
import { unplugPbd } from '../../../src/operations/unplug-pbd.ts'
import { createTestRepositories } from '../../support/repositories.ts'

test('only once it is unplugged; its VDIs stay known', async () => {
  const on = await createTestRepositories()
  const { context, catalog, storage, hostUuid, createOnFolder } = on
  const { sr, vdi } = await createOnFolder()
  const pbd = pbdUuid(hostUuid, sr.uuid)
  await expect(destroyPbd(context, pbd)).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' })
  await unplugPbd(context, pbd)
  await destroyPbd(context, pbd)
  expect(await on.sr(sr.uuid)).toMatchObject({ hasPbd: false, deviceConfig: {} })
  expect(storage.stores.get(sr.uuid).whyDetached).toContain('pbd-create')
  expect(await catalog.vdis.uuids()).toEqual([vdi])
  for (const unknown of [pbd, randomUUID()]) {
    await expect(destroyPbd(context, unknown)).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
      params: ['PBD', `OpaqueRef:${unknown}`],
    })
  }
})
