// What keeps a storage repository from being detached.

import { expect, test } from 'vitest'
import { requireIdle } from '../../../../src/operations/sr/require-idle.ts'
import { createTestRepositories } from '../../../support/repositories.ts'

test('a VDI that is taken, a layer that is written, a disk that is read', async () => {
  const on = await createTestRepositories()
  const { context, catalog, storage, srUuid } = on
  const vdi = await on.createVdi()
  await on.write(vdi)
  const refused = () =>
    expect(requireIdle(context, srUuid)).rejects.toMatchObject({
      code: 'OTHER_OPERATION_IN_PROGRESS',
      params: ['SR', `OpaqueRef:${srUuid}`],
    })
  await requireIdle(context, srUuid)

  const release = context.leases.take(vdi, 'an import')
  await refused()
  release()

  const layer = await on.begin(srUuid)
  await refused()
  await catalog.layers.remove(layer)

  const { disk } = await storage.contents.open(vdi)
  await refused()
  const other = await on.create({})
  await requireIdle(context, other.uuid)
  await disk.close()
  await requireIdle(context, srUuid)
})
