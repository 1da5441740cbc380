// The storage repositories at a start of the server: with their folders, and without.

import { rename } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { attachAllSrs } from '../../../src/operations/attach-all-srs.ts'
import { unplugPbd } from '../../../src/operations/unplug-pbd.ts'
import { pbdUuid } from '../../../src/operations/sr/pbds.ts'
import { createStorage } from '../../../src/store/storage.ts'
import { createTestRepositories } from '../../support/repositories.ts'

test('each gets a store; one whose folder is away, or that is unplugged, refuses', async () => {
  const { context, catalog, hostUuid, srUuid, createOnFolder } = await createTestRepositories()
  const [there, away, unplugged] = [
    await createOnFolder(),
    await createOnFolder(),
    await createOnFolder(),
  ]
  await unplugPbd(context, pbdUuid(hostUuid, unplugged.sr.uuid))
  await rename(away.folder, `${away.folder}-away`)
  const { stores } = createStorage({ catalog, onError: () => {} })
  const storage = { ...context.storage, stores }
  await attachAllSrs({ ...context, storage })
  await rename(`${away.folder}-away`, away.folder)
  expect(stores.list().toSorted()).toEqual(
    [srUuid, there.sr.uuid, away.sr.uuid, unplugged.sr.uuid].toSorted(),
  )
  expect(stores.isAttached(there.sr.uuid)).toBe(true)
  expect(stores.get(away.sr.uuid).whyDetached).toContain('ENOENT')
  expect(stores.get(unplugged.sr.uuid).whyDetached).toContain('pbd-plug')
})
