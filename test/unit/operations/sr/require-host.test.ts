// Whether a call names this host.

import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { requireHost } from '../../../../src/operations/sr/require-host.ts'
import { createStartedCatalog } from '../../../support/catalogs.ts'

test('this host is known, another is not', async () => {
  const context = await createStartedCatalog()
  await expect(requireHost(context, context.hostUuid)).resolves.toBeUndefined()
  const other = randomUUID()
  await expect(requireHost(context, other)).rejects.toMatchObject({
    code: 'HANDLE_INVALID',
    params: ['host', `OpaqueRef:${other}`],
  })
})
