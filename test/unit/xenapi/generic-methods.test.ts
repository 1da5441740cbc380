// What follows from the table of classes: records, getters and setters.

import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Wire } from '../../../src/xenapi/wire/values.ts'
import { GiB, MiB } from '../../../src/units.ts'
import { addLayer } from '../../support/catalogs.ts'
import { asMap, createTestApi, createVdi } from '../../support/xenapi.ts'

describe('every class', () => {
  const classNames = ['host', 'pool', 'SM', 'SR', 'task', 'VDI']

  const startFull = async () => {
    const api = await createTestApi()
    await createVdi(api, { sm_config: { 'image-format': 'vhd' }, tags: ['a'] })
    await createVdi(api)
    await api.call('task.create', 'one', 'two')
    return api
  }

  it.each(classNames)('%s reads alike by all getters', async (name) => {
    const { call } = await startFull()
    const records = asMap(await call(`${name}.get_all_records`))
    const refs = Object.keys(records)
    expect(refs.length).toBeGreaterThan(0)
    expect(await call(`${name}.get_all`)).toEqual(refs)
    for (const [ref, value] of Object.entries(records)) {
      const record = asMap(value)
      expect(ref).toBe(`OpaqueRef:${record['uuid'] as string}`)
      expect(await call(`${name}.get_record`, ref)).toEqual(record)
      expect(await call(`${name}.get_by_uuid`, record['uuid'] ?? null)).toBe(ref)
      expect(await call(`${name}.get_by_name_label`, record['name_label'] ?? null)).toContain(ref)
      const read: Record<string, Wire> = {}
      for (const field of Object.keys(record)) {
        read[field] = await call(`${name}.get_${field}`, ref)
      }
      expect(read).toEqual(record)
    }
  })

  it.each(classNames)('%s says what it does not know', async (name) => {
    const { call } = await createTestApi()
    const uuid = randomUUID()
    const gone = { code: 'HANDLE_INVALID', params: [name, `OpaqueRef:${uuid}`] }
    await expect(call(`${name}.get_record`, uuid)).rejects.toMatchObject(gone)
    await expect(call(`${name}.get_uuid`, `OpaqueRef:${uuid}`)).rejects.toMatchObject(gone)
    for (const text of [uuid, 'x', 'OpaqueRef:NULL']) {
      await expect(call(`${name}.get_by_uuid`, text)).rejects.toMatchObject({
        code: 'UUID_INVALID',
        params: [name, text],
      })
    }
    expect(await call(`${name}.get_by_name_label`, 'no such name')).toEqual([])
  })

  it('has the fields of XenAPI, the same for all objects', async () => {
    const { call } = await startFull()
    const keysOf = async (name: string): Promise<string[][]> =>
      Object.values(asMap(await call(`${name}.get_all_records`))).map((record) =>
        Object.keys(asMap(record)).toSorted(),
      )
    const [vdi, other] = await keysOf('VDI')
    expect(other).toEqual(vdi)
    expect(vdi).toEqual(
      (
        'SR VBDs allow_caching allowed_operations cbt_enabled crash_dumps current_operations ' +
        'is_a_snapshot is_tools_iso location managed metadata_latest metadata_of_pool missing ' +
        'name_description name_label on_boot other_config parent physical_utilisation read_only ' +
        'sharable sm_config snapshot_of snapshot_time snapshots storage_lock tags type uuid ' +
        'virtual_size xenstore_data'
      ).split(' '),
    )
    expect((await keysOf('task'))[0]).toEqual(
      (
        'allowed_operations backtrace created current_operations error_info finished ' +
        'name_description name_label other_config progress resident_on result status subtask_of ' +
        'subtasks type uuid'
      ).split(' '),
    )
    expect((await keysOf('SR'))[0]).toEqual(
      (
        'PBDs VDIs allowed_operations blobs clustered content_type current_operations ' +
        'introduced_by is_tools_sr local_cache_enabled name_description name_label other_config ' +
        'physical_size physical_utilisation shared sm_config tags type uuid virtual_allocation'
      ).split(' '),
    )
  })

  it('knows its sizes, its pool and its formats', async () => {
    const { call, catalog, poolUuid, hostUuid, srUuid } = await startFull()
    await addLayer(catalog, (await catalog.vdis.list())[0]!.uuid)
    const [pool] = Object.entries(asMap(await call('pool.get_all_records')))
    expect(pool?.[0]).toBe(`OpaqueRef:${poolUuid}`)
    expect(pool?.[1]).toMatchObject({
      master: `OpaqueRef:${hostUuid}`,
      default_SR: `OpaqueRef:${srUuid}`,
      suspend_image_SR: 'OpaqueRef:NULL',
      ha_enabled: false,
      ha_host_failures_to_tolerate: { value: 0 },
    })
    const sr = asMap(await call('SR.get_record', srUuid))
    expect(sr).toMatchObject({
      physical_size: { value: 107_374_182_400 },
      physical_utilisation: { value: 3 * MiB },
      virtual_allocation: { value: 2 * GiB },
      type: 'file',
      content_type: 'user',
      shared: false,
    })
    expect(sr['VDIs']).toHaveLength(2)
    expect(Object.values(asMap(await call('SM.get_all_records')))).toMatchObject([
      { type: 'file', supported_image_formats: ['qcow2', 'vhd', 'raw'], version: '1.2.3' },
    ])
    expect(await call('host.get_software_version', hostUuid)).toMatchObject({
      product_brand: 'diskport',
      product_version: '1.2.3',
    })
    expect(await call('host.get_API_version_major', hostUuid)).toMatchObject({ value: 2 })
  })
})

describe('setters', () => {
  const start = async () => {
    const api = await createTestApi()
    return { ...api, vdi: await createVdi(api) }
  }

  it('change plain fields', async () => {
    const { call, vdi, poolUuid } = await start()
    expect(await call('VDI.set_name_label', vdi, 'Größe')).toBe('')
    await call('VDI.set_name_description', vdi, 'notes')
    await call('VDI.set_read_only', vdi, true)
    expect(await call('VDI.get_record', vdi)).toMatchObject({
      name_label: 'Größe',
      name_description: 'notes',
      read_only: true,
      sharable: false,
    })
    await call('pool.set_default_SR', poolUuid, 'OpaqueRef:NULL')
    expect(await call('pool.get_default_SR', poolUuid)).toBe('OpaqueRef:NULL')
  })

  it('refuse what does not fit, and what is not there', async () => {
    const { call, vdi, poolUuid } = await start()
    await expect(call('VDI.set_name_label', vdi, 5)).rejects.toMatchObject({
      code: 'FIELD_TYPE_ERROR',
      params: ['name_label'],
    })
    await expect(call('VDI.add_to_other_config', vdi, 'k', 5)).rejects.toMatchObject({
      code: 'FIELD_TYPE_ERROR',
      params: ['other_config'],
    })
    await expect(call('VDI.set_name_label', randomUUID(), 'x')).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
    })
    await expect(call('VDI.set_virtual_size', vdi, '5')).rejects.toMatchObject({
      code: 'MESSAGE_METHOD_UNKNOWN',
    })
    await expect(call('pool.set_default_SR', poolUuid, randomUUID())).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
      params: ['SR', expect.any(String) as string],
    })
  })

  it('change maps as a whole and key by key', async () => {
    const { call, vdi } = await start()
    await call('VDI.set_other_config', vdi, { a: '1', __proto__x: '2' })
    await call('VDI.add_to_other_config', vdi, 'b', '3')
    await call('VDI.remove_from_other_config', vdi, 'a')
    await call('VDI.remove_from_other_config', vdi, 'never there')
    expect(await call('VDI.get_other_config', vdi)).toEqual({ __proto__x: '2', b: '3' })
    await expect(call('VDI.add_to_other_config', vdi, 'b', '4')).rejects.toMatchObject({
      code: 'MAP_DUPLICATE_KEY',
      params: ['VDI', 'other_config', vdi, 'b'],
    })
    expect(await call('VDI.get_other_config', vdi)).toMatchObject({ b: '3' })
    await call('VDI.add_to_other_config', vdi, '__proto__', 'x')
    expect(Object.keys(asMap(await call('VDI.get_other_config', vdi)))).toContain('__proto__')
  })

  it('change sets as a whole and member by member', async () => {
    const { call, vdi } = await start()
    await call('VDI.set_tags', vdi, ['a', 'b', 'a'])
    await call('VDI.add_tags', vdi, 'c')
    await call('VDI.add_tags', vdi, 'b')
    await call('VDI.remove_tags', vdi, 'a')
    await call('VDI.remove_tags', vdi, 'never there')
    expect(await call('VDI.get_tags', vdi)).toEqual(['b', 'c'])
  })
})
