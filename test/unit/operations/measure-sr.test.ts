// The sizes of a storage repository.

import { expect, test } from 'vitest'
import { measureSr } from '../../../src/operations/measure-sr.ts'
import { GiB, MiB } from '../../../src/units.ts'
import { addLayer } from '../../support/catalogs.ts'
import { createTestContent, diskSize } from '../../support/content.ts'

test('are those of its device, its layers and its VDIs', async () => {
  const on = await createTestContent({
    wrap: (store) => ({ ...store, space: async () => ({ size: 5 * GiB, used: GiB }) }),
  })
  await addLayer(on.catalog, await on.create())
  await on.create()
  await on.create({ srUuid: on.otherSrUuid })
  expect(await measureSr(on.context, on.srUuid)).toEqual({
    physicalSize: 5 * GiB,
    physicalUtilisation: 3 * MiB,
    virtualAllocation: 2 * diskSize,
  })
})

test('one whose folder has just gone has a size of 0', async () => {
  const { context, srUuid } = await createTestContent({
    wrap: (store) => ({ ...store, space: () => Promise.reject(new Error('ENOENT')) }),
  })
  expect(await measureSr(context, srUuid)).toMatchObject({ physicalSize: 0 })
})
