// New storage repositories: what is made, and that nothing is left where one is refused.

import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { NewSr } from '../../../src/operations/create-sr.ts'
import { createSr } from '../../../src/operations/create-sr.ts'
import { createTestRepositories } from '../../support/repositories.ts'
import { createTestFolder } from '../../support/tools.ts'

const fields = {
  nameLabel: 'new',
  nameDescription: 'described',
  type: 'file',
  contentType: 'user',
  shared: true,
  smConfig: { a: 'b' },
  mayNameAny: true,
}

const start = async () => {
  const on = await createTestRepositories()
  const create = (deviceConfig: Record<string, string>, more: Partial<NewSr> = {}) =>
    createSr(on.context, { ...fields, hostUuid: on.hostUuid, deviceConfig, ...more })
  return { ...on, createSr: create }
}

describe('a new SR', () => {
  test('in the data folder can be used at once', async () => {
    const { context, createSr, sr, storage } = await start()
    const uuid = await createSr({})
    expect(await sr(uuid)).toMatchObject({
      nameLabel: 'new',
      nameDescription: 'described',
      shared: true,
      smConfig: { a: 'b' },
      path: '',
      readOnly: false,
      hasPbd: true,
      isPlugged: true,
    })
    expect(await readdir(join(context.dataFolder, 'sr'))).toEqual([uuid])
    expect(storage.stores.isAttached(uuid)).toBe(true)
  })

  test('on a folder that others have filled has their images', async () => {
    const { catalog, createOnFolder } = await start()
    const { sr, vdi } = await createOnFolder()
    expect(await catalog.vdis.list()).toMatchObject([{ uuid: vdi, srUuid: sr.uuid }])
  })

  test('is told of before its PBD', async () => {
    const { catalog, createSr } = await start()
    const told: string[] = []
    catalog.changes.subscribe(({ className, operation }) => told.push(`${className} ${operation}`))
    await createSr({})
    expect([told[0], told.at(-1)]).toEqual(['SR add', 'PBD add'])
  })
})

describe('what is refused leaves nothing behind', () => {
  test.each<[string, Record<string, string>, Partial<NewSr>, string]>([
    ['an unknown type', {}, { type: 'nfs' }, 'SR_UNKNOWN_DRIVER'],
    ['an unknown host', {}, { hostUuid: randomUUID() }, 'HANDLE_INVALID'],
    ['no folder', { location: '/nowhere' }, {}, 'VALUE_NOT_SUPPORTED'],
    ['a field that is too large', {}, { nameLabel: 'x'.repeat(1 << 20) }, 'INVALID_VALUE'],
  ])('%s', async (_name, deviceConfig, more, code) => {
    const { context, catalog, createSr, storage, srUuid } = await start()
    await expect(createSr(deviceConfig, more)).rejects.toMatchObject({ code })
    expect(await catalog.srs.list()).toHaveLength(1)
    expect(storage.stores.list()).toEqual([srUuid])
    const made = await readdir(context.dataFolder, { recursive: true })
    expect(made.filter((name) => name !== 'sr')).toEqual([])
  })

  test('the second of two on one folder', async () => {
    const { catalog, createSr } = await start()
    const location = await createTestFolder()
    const outcomes = await Promise.allSettled([createSr({ location }), createSr({ location })])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(await catalog.srs.list()).toHaveLength(2)
  })
})
