// Which VDIs can be tracked.

import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { VdiRow } from '../../../src/catalog/vdis.ts'
import { trackChanges } from '../../../src/operations/track-changes.ts'
import { createTestContent } from '../../support/content.ts'

test.each(['user', 'system'])('a VDI of the type %s: on, on again, and off', async (type) => {
  const { context, create, get } = await createTestContent()
  const vdi = await create({ type })
  for (const enabled of [true, true, false]) {
    await trackChanges(context, vdi, enabled)
    expect((await get(vdi)).cbtEnabled).toBe(enabled)
  }
})

test.each<[string, Partial<VdiRow>, string]>([
  ['a snapshot', { isSnapshot: true }, 'OPERATION_NOT_ALLOWED'],
  ['another type', { type: 'crashdump' }, 'VDI_INCOMPATIBLE_TYPE'],
])('%s is refused', async (_name, row, code) => {
  const { context, create, get } = await createTestContent()
  const vdi = await create(row)
  await expect(trackChanges(context, vdi, true)).rejects.toMatchObject({ code })
  expect((await get(vdi)).cbtEnabled).toBe(false)
})

test('an unknown VDI is refused', async () => {
  const { context } = await createTestContent()
  await expect(trackChanges(context, randomUUID(), true)).rejects.toMatchObject({
    code: 'HANDLE_INVALID',
  })
})
