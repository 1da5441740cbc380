// Whether a VDI may go.

import { expect, test } from 'vitest'
import { requireUnused } from '../../../../src/operations/vdi/require-unused.ts'
import { createTestContent } from '../../../support/content.ts'

test('not while something holds it, which is named', async () => {
  const { context, create } = await createTestContent()
  const [vdi, other] = [await create(), await create()]
  requireUnused(context, vdi)
  const release = context.leases.take(vdi, 'OpaqueRef:task', 'mirror')
  expect(() => requireUnused(context, vdi)).toThrow(
    expect.objectContaining({
      code: 'VDI_IN_USE',
      params: [`OpaqueRef:${vdi}`, 'OpaqueRef:task'],
    }) as Error,
  )
  requireUnused(context, other)
  release()
  requireUnused(context, vdi)
})
