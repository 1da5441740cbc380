// Which fields come along when a VDI is made from another.

import { expect, test } from 'vitest'
import { METADATA_ONLY } from '../../../../src/catalog/schema.ts'
import { notASnapshot, sameContent } from '../../../../src/operations/vdi/derived-vdi.ts'
import { createTestContent } from '../../../support/content.ts'

test('all but its name in the catalog, if there is content', async () => {
  const { create, get } = await createTestContent()
  const source = await get(await create({ nameLabel: 'a', tags: ['b'] }))
  const same = sameContent(source)
  expect({ ...same, uuid: source.uuid, createdAt: source.createdAt }).toEqual(source)
  expect(Object.keys(same)).not.toContain('uuid')
  expect(() => sameContent({ ...source, type: METADATA_ONLY })).toThrow('was destroyed')
})

test.each([
  [{ isSnapshot: false, readOnly: false }, false],
  [{ isSnapshot: false, readOnly: true }, true],
  [{ isSnapshot: true, readOnly: true }, false],
])('what is made of %j is no snapshot', async (fields, readOnly) => {
  const { create, get } = await createTestContent()
  const source = await get(await create({ ...fields, cbtEnabled: true }))
  expect(notASnapshot(source)).toEqual({
    readOnly,
    isSnapshot: false,
    snapshotOfUuid: null,
    snapshotTime: null,
    cbtEnabled: false,
  })
})
