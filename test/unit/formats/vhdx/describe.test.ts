import { expect, test } from 'vitest'
import { vhdx } from '../../../../src/formats/vhdx/vhdx.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { MiB } from '../../../../src/units.ts'
import { buildVhdx, testDataGuid, testParentGuid } from '../../../support/vhdx-images.ts'

const describeImage = (parent?: Record<string, string>) =>
  vhdx.describe(
    createMemoryImage(
      buildVhdx({ size: MiB, blocks: [{ state: 0 }], length: 4, ...(parent && { parent }) }),
    ),
  )

test('a whole disk has the id of its content', async () => {
  expect(await describeImage()).toEqual({ imageUuid: testDataGuid, isHidden: false })
})

test('a differencing one names its parent, by id and by paths', async () => {
  const parent = {
    parent_linkage: `{${testParentGuid.toUpperCase()}}`,
    volume_path: '\\\\?\\Volume{26a21bda-a627-11d7-9931-806e6f6e6963}\\base.vhdx',
    relative_path: '.\\base.vhdx',
    absolute_win32_path: 'c:\\disks\\base.vhdx',
    unknown: 'whatever',
  }
  expect(await describeImage(parent)).toEqual({
    imageUuid: testDataGuid,
    isHidden: false,
    parent: {
      uuid: testParentGuid,
      names: [parent.relative_path, parent.absolute_win32_path, parent.volume_path],
      format: 'vhdx',
    },
  })
})
