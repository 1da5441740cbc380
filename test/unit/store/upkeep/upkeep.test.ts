// Recovery at the start of the server.

import { expect, test } from 'vitest'
import { createTestRepositories } from '../../../support/repositories.ts'
import { createTestFolder } from '../../../support/tools.ts'

test('what cannot be cleaned up at the start keeps no storage repository from being used', async () => {
  const { storage, srUuid, errors, create, begin, layers } = await createTestRepositories()
  const other = await create({ location: await createTestFolder() })
  storage.stores.attach(srUuid, {
    ...storage.stores.get(srUuid),
    clearStaging: () => Promise.reject(new Error('EIO')),
  })
  await begin(other.uuid)
  expect(await storage.upkeep.recover()).toBe(1)
  expect(await layers(other.uuid)).toEqual([])
  expect(errors).toMatchObject([{ message: 'EIO' }])
})
