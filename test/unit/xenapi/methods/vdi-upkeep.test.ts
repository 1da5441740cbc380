// VDI.update, VDI.force_unlock, VDI.get_nbd_info, what virtual machines ask of a disk; and what
// data_destroy leaves.

import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createRawSource } from '../../../support/sources.ts'
import { createTestFolder } from '../../../support/tools.ts'
import { asMap, createTestApi, createVdi } from '../../../support/xenapi.ts'

it('VDI.update follows a file that others have changed', async () => {
  const { call, hostUuid } = await createTestApi()
  const folder = await createTestFolder()
  const uuid = randomUUID()
  await createRawSource(folder, `${uuid}.raw`, { size: 4096, parts: [[0, 512]] })
  const config = { location: folder }
  await call('SR.create', hostUuid, config, '0', 'a', '', 'file', '', false, {})
  await appendFile(join(folder, `${uuid}.raw`), Buffer.alloc(4096, 1))
  expect(await call('VDI.update', uuid)).toBe('')
  expect(await call('VDI.get_virtual_size', uuid)).toMatchObject({ value: 8192 })
})

it('VDI.force_unlock is deprecated, as in XenServer', async () => {
  const api = await createTestApi()
  const unlocked = api.call('VDI.force_unlock', await createVdi(api))
  await expect(unlocked).rejects.toMatchObject({ code: 'MESSAGE_DEPRECATED', params: [] })
})

describe('a snapshot whose data was destroyed', () => {
  const start = async () => {
    const api = await createTestApi()
    const { call } = api
    const vdi = await createVdi(api, { other_config: { a: 'b', content_id: 'its own' } })
    await call('VDI.enable_cbt', vdi)
    const snapshot = (await call('VDI.snapshot', vdi)) as string
    await call('VDI.data_destroy', snapshot)
    return { ...api, snapshot }
  }

  it('has no NBD server: get_nbd_info is an error', async () => {
    const { call, snapshot } = await start()
    await expect(call('VDI.get_nbd_info', snapshot)).rejects.toMatchObject({
      code: 'VDI_INCOMPATIBLE_TYPE',
      params: [snapshot, 'cbt_metadata'],
    })
  })

  it('has a content_id that says that there is no content', async () => {
    const { call, snapshot } = await start()
    expect(await call('VDI.get_other_config', snapshot)).toEqual({
      a: 'b',
      content_id: '/No content: this is a cbt_metadata VDI/',
    })
    await expect(call('VDI.update', snapshot)).resolves.toBe('')
  })
})

it('on_boot and allow_caching can be set, and go on to copies', async () => {
  const api = await createTestApi()
  const { call } = api
  const vdi = await createVdi(api)
  await call('VDI.set_on_boot', vdi, 'reset')
  await call('VDI.set_allow_caching', vdi, true)
  const clone = (await call('VDI.clone', vdi)) as string
  const expected = { on_boot: 'reset', allow_caching: true }
  for (const ref of [vdi, clone]) {
    expect(asMap(await call('VDI.get_record', ref))).toMatchObject(expected)
  }
  await expect(call('VDI.set_on_boot', vdi, 'never')).rejects.toMatchObject({
    code: 'INVALID_VALUE',
  })
})

it('there are no messages, and that can be asked', async () => {
  const { call, dispatcher } = await createTestApi()
  expect(await call('message.get_all_records')).toEqual({})
  expect(await dispatcher.call({ method: 'system.listMethods', params: [] })).toContain(
    'message.get_all_records',
  )
})

it('SR.set_shared is kept', async () => {
  const { call, srUuid } = await createTestApi()
  await call('SR.set_shared', srUuid, true)
  expect(await call('SR.get_shared', srUuid)).toBe(true)
})
