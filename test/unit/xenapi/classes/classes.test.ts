// The classes around the disks: what clients look at when they connect, empty collections included,
// and the calls that diskport refuses.

import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Wire } from '../../../../src/xenapi/wire/values.ts'
import { asMap, createTestApi, createVdi } from '../../../support/xenapi.ts'

describe('host, PBD and SR', () => {
  it('name each other', async () => {
    const { call, hostUuid, srUuid } = await createTestApi()
    const [[ref, pbd]] = Object.entries(asMap(await call('PBD.get_all_records'))) as [
      [string, Wire],
    ]
    expect(pbd).toEqual({
      uuid: ref.replace('OpaqueRef:', ''),
      host: `OpaqueRef:${hostUuid}`,
      SR: `OpaqueRef:${srUuid}`,
      device_config: {},
      currently_attached: true,
      other_config: {},
    })
    expect(await call('PBD.get_all')).toEqual([ref])
    expect(await call('PBD.get_by_uuid', ref.replace('OpaqueRef:', ''))).toBe(ref)
    expect(await call('PBD.get_SR', ref)).toBe(`OpaqueRef:${srUuid}`)
    expect(await call('SR.get_PBDs', srUuid)).toEqual([ref])
    expect(await call('host.get_PBDs', hostUuid)).toEqual([ref])
  })

  it('a host has metrics', async () => {
    const { call, hostUuid } = await createTestApi()
    const metrics = (await call('host.get_metrics', hostUuid)) as string
    const record = asMap(await call('host_metrics.get_record', metrics))
    expect(record).toMatchObject({ live: true, uuid: metrics.slice(10) })
    expect(Number(record['memory_total'])).toBeGreaterThan(Number(record['memory_free']))
    expect(asMap(await call('host_metrics.get_all_records'))).toHaveProperty([metrics])
  })

  it('the SM tells the formats that its SRs hold', async () => {
    const { call } = await createTestApi()
    expect(Object.values(asMap(await call('SM.get_all_records')))).toMatchObject([
      { type: 'file', supported_image_formats: ['qcow2', 'vhd', 'raw'] },
    ])
    expect(await call('SR.get_supported_types')).toEqual(['file'])
  })
})

describe('what diskport has none of', () => {
  it.each(['VM', 'VBD'])('%s answers well', async (name) => {
    const { call } = await createTestApi()
    expect(await call(`${name}.get_all`)).toEqual([])
    expect(await call(`${name}.get_all_records`)).toEqual({})
    expect(await call(`${name}.get_all_records_where`, 'field "uuid" = "x"')).toEqual({})
    const gone = call(`${name}.get_record`, randomUUID())
    await expect(gone).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
  })
})

describe('session', () => {
  it('has a record for who knows its secret', async () => {
    const { call, session, hostUuid, catalog } = await createTestApi()
    const root = (await catalog.users.getByName('root'))!
    const record = asMap(await call('session.get_record', session))
    expect(record).toMatchObject({
      this_user: `OpaqueRef:${root.uuid}`,
      this_host: `OpaqueRef:${hostUuid}`,
      auth_user_name: 'root',
      is_local_superuser: true,
      subject: 'OpaqueRef:NULL',
      originator: '',
    })
    expect(JSON.stringify(record)).not.toContain(session.slice(10))
    for (const field of Object.keys(record)) {
      expect(await call(`session.get_${field}`, session)).toEqual(record[field])
    }
    expect(await call('session.get_this_user', session)).toBe(record['this_user'])
  })

  it('is not found by its uuid, and not listed', async () => {
    const { call, session } = await createTestApi()
    const uuid = await call('session.get_uuid', session)
    await expect(call('session.get_record', uuid)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
    for (const name of ['get_all', 'get_all_records', 'get_by_uuid']) {
      await expect(call(`session.${name}`)).rejects.toMatchObject({
        code: 'MESSAGE_METHOD_UNKNOWN',
      })
    }
  })
})

describe('SR', () => {
  it.each(['scan', 'update'])('%s is done at once', async (name) => {
    const { call, srUuid } = await createTestApi()
    expect(await call(`SR.${name}`, srUuid)).toBe('')
    const gone = call(`SR.${name}`, randomUUID())
    await expect(gone).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
  })
})

describe('VDI.get_nbd_info', () => {
  it('no NBD server is a fine answer', async () => {
    const api = await createTestApi()
    expect(await api.call('VDI.get_nbd_info', await createVdi(api))).toEqual([])
  })
})
