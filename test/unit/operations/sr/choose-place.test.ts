// Where a storage repository may lie. The rules of folders are in store/files/check-folder.test.ts.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { choosePlace, requireSrType, rootsOf } from '../../../../src/operations/sr/choose-place.ts'
import { createTestRepositories } from '../../../support/repositories.ts'
import { createTestFolder } from '../../../support/tools.ts'

const start = async () => {
  const on = await createTestRepositories()
  const choose = (deviceConfig: Record<string, string>, own?: string) =>
    choosePlace(on.context, { type: 'file', deviceConfig, mayNameAny: true }, own)
  return { ...on, choose }
}

describe('a place', () => {
  test('is in the data folder without a location', async () => {
    const { choose } = await start()
    expect(await choose({})).toEqual({ path: '', readOnly: false, defaultFormat: 'qcow2' })
  })

  test('is the folder, by its keys', async () => {
    const { choose } = await start()
    const location = await createTestFolder()
    const more = { 'read-only': 'true', 'preferred-image-formats': 'vhd' }
    expect(await choose({ location, ...more })).toEqual({
      path: location,
      readOnly: true,
      defaultFormat: 'vhd',
    })
  })

  test('may be the own one, but not that of another, nor the data folder', async () => {
    const { choose, context, createOnFolder } = await start()
    const { sr, folder: location } = await createOnFolder()
    expect(await choose({ location }, sr.uuid)).toMatchObject({ path: location })
    await expect(choose({ location })).rejects.toThrow(
      `it is the same as the folder of the storage repository ${sr.uuid}`,
    )
    const inData = join(context.dataFolder, 'folder')
    await mkdir(inData)
    await expect(choose({ location: inData })).rejects.toThrow(
      'it is inside the data folder of this server',
    )
  })

  test('that is read-only needs a location', async () => {
    const { choose } = await start()
    await expect(choose({ 'read-only': 'true' })).rejects.toMatchObject({
      code: 'VALUE_NOT_SUPPORTED',
      params: ['device_config:read-only', 'true', expect.stringContaining('needs a location')],
    })
  })
})

test('a type has the formats of its storage manager; an unknown one is refused', async () => {
  const { context } = await start()
  expect(await requireSrType(context, 'file')).toEqual(['qcow2', 'vhd', 'raw'])
  await expect(requireSrType(context, 'n'.repeat(100))).rejects.toMatchObject({
    code: 'SR_UNKNOWN_DRIVER',
    params: ['n'.repeat(64)],
  })
})

test('who may not name any folder has the roots', () => {
  expect(rootsOf({ srRoots: ['/srv'] }, { mayNameAny: false })).toEqual(['/srv'])
  expect(rootsOf({ srRoots: ['/srv'] }, { mayNameAny: true })).toBe('anywhere')
})
