// Storage repositories that are found in a folder.

import { randomUUID } from 'node:crypto'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { probeSr } from '../../../src/operations/probe-sr.ts'
import { createTestRepositories } from '../../support/repositories.ts'
import { createTestFolder } from '../../support/tools.ts'

const start = async () => {
  const on = await createTestRepositories()
  const probe = (location: string, more = {}) =>
    probeSr(on.context, {
      hostUuid: on.hostUuid,
      type: 'file',
      deviceConfig: { location },
      mayNameAny: true,
      ...more,
    })
  return { ...on, probe }
}

test('the one that lies in it, and folders with the names of others; files are none', async () => {
  const { probe, createOnFolder } = await start()
  const { folder, sr } = await createOnFolder()
  const below = randomUUID()
  await mkdir(join(folder, below))
  await mkdir(join(folder, 'notes'))
  await writeFile(join(folder, randomUUID()), '')
  const before = await readdir(folder)
  expect(await probe(folder)).toEqual([
    { uuid: sr.uuid, location: folder },
    { uuid: below, location: join(folder, below) },
  ])
  expect(await readdir(folder)).toEqual(before)
})

test('one that the catalog does not know, by the name of the folder', async () => {
  const { probe } = await start()
  const uuid = randomUUID()
  const folder = join(await createTestFolder(), uuid)
  await mkdir(folder)
  expect(await probe(folder)).toEqual([{ uuid, location: folder }])
})

test('an unknown host or type, and a folder that the user may not name, are refused', async () => {
  const { probe } = await start()
  const folder = await createTestFolder()
  const refused = (more: object, code: string) =>
    expect(probe(folder, more)).rejects.toMatchObject({ code })
  await refused({ hostUuid: randomUUID() }, 'HANDLE_INVALID')
  await refused({ type: 'nfs' }, 'SR_UNKNOWN_DRIVER')
  await refused({ mayNameAny: false }, 'VALUE_NOT_SUPPORTED')
  expect(await probe(folder)).toEqual([])
})
