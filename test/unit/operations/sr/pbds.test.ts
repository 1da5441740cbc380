// The uuids of PBDs, and the way back from one.

import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Change } from '../../../../src/catalog/changes.ts'
import { pbdUuid, requireSrOfPbd, srOfPbd, tellOfPbd } from '../../../../src/operations/sr/pbds.ts'
import { createStartedCatalog } from '../../../support/catalogs.ts'

test('follow from the host and the storage repository', async () => {
  const context = await createStartedCatalog()
  const { catalog, hostUuid, srUuid } = context
  const uuid = pbdUuid(hostUuid, srUuid)
  expect(pbdUuid(hostUuid, srUuid)).toBe(uuid)
  expect(pbdUuid(randomUUID(), srUuid)).not.toBe(uuid)
  expect((await srOfPbd(context, uuid))?.uuid).toBe(srUuid)
  const changes: Change[] = []
  catalog.changes.subscribe((change) => changes.push(change))
  tellOfPbd(context, srUuid, 'mod')
  expect(changes).toMatchObject([{ className: 'PBD', uuid, operation: 'mod' }])
})

test('there is none of a storage repository without one, nor of an unknown host', async () => {
  const context = await createStartedCatalog()
  const { catalog, hostUuid, srUuid } = context
  const unknown = pbdUuid(randomUUID(), srUuid)
  await expect(requireSrOfPbd(context, unknown)).rejects.toMatchObject({
    code: 'HANDLE_INVALID',
    params: ['PBD', `OpaqueRef:${unknown}`],
  })
  await catalog.srs.update(srUuid, () => ({ hasPbd: false, isPlugged: false }))
  expect(await srOfPbd(context, pbdUuid(hostUuid, srUuid))).toBeUndefined()
})
