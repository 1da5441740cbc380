// A storage repository that is detached.

import { expect, test } from 'vitest'
import { pbdUuid } from '../../../src/operations/sr/pbds.ts'
import { unplugPbd } from '../../../src/operations/unplug-pbd.ts'
import { createTestRepositories } from '../../support/repositories.ts'

test('only while nobody reads or writes there; its VDIs cannot be read then', async () => {
  const on = await createTestRepositories()
  const { context, storage, hostUuid, createOnFolder } = on
  const { sr, vdi } = await createOnFolder()
  const pbd = pbdUuid(hostUuid, sr.uuid)
  const { disk } = await storage.contents.open(vdi)
  await expect(unplugPbd(context, pbd)).rejects.toMatchObject({
    code: 'OTHER_OPERATION_IN_PROGRESS',
    params: ['SR', `OpaqueRef:${sr.uuid}`],
  })
  expect((await on.sr(sr.uuid)).isPlugged).toBe(true)
  await disk.close()
  await unplugPbd(context, pbd)
  expect((await on.sr(sr.uuid)).isPlugged).toBe(false)
  await expect(storage.contents.open(vdi)).rejects.toMatchObject({ code: 'SR_NOT_ATTACHED' })
  await unplugPbd(context, pbd)
})
