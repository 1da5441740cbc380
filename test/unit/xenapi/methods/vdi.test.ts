// VDI.create and VDI.destroy, and what sm_config says of the format.

import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { GiB, KiB, MiB, MAXIMUM_DISK_SIZE, TiB } from '../../../../src/units.ts'
import type { WireMap } from '../../../../src/xenapi/wire/values.ts'
import { addLayer } from '../../../support/catalogs.ts'
import { asMap, createTestApi, createVdi, MAXIMUM_VHD_SIZE } from '../../../support/xenapi.ts'
import { WireInt } from '../../../../src/xenapi/wire/values.ts'

describe('VDI.create', () => {
  it('needs only a storage repository and a size', async () => {
    const { call, srUuid, catalog } = await createTestApi()
    const ref = await call('VDI.create', { SR: srUuid, virtual_size: 5 * GiB })
    const [vdi] = await catalog.vdis.list()
    expect(await call('VDI.get_record', ref)).toEqual({
      uuid: vdi?.uuid,
      name_label: '',
      name_description: '',
      allowed_operations: [
        'snapshot',
        'clone',
        'copy',
        'list_changed_blocks',
        'resize',
        'resize_online',
        'mirror',
        'enable_cbt',
        'update',
        'forget',
        'destroy',
      ],
      current_operations: {},
      SR: `OpaqueRef:${srUuid}`,
      VBDs: [],
      crash_dumps: [],
      virtual_size: new WireInt(5 * GiB),
      physical_utilisation: new WireInt(0),
      type: 'user',
      sharable: false,
      read_only: false,
      other_config: {},
      storage_lock: false,
      location: vdi?.uuid,
      managed: true,
      missing: false,
      parent: 'OpaqueRef:NULL',
      xenstore_data: {},
      sm_config: { 'at-rest-format': 'qcow2' },
      is_a_snapshot: false,
      snapshot_of: 'OpaqueRef:NULL',
      snapshots: [],
      snapshot_time: new Date(0),
      tags: [],
      allow_caching: false,
      on_boot: 'persist',
      metadata_of_pool: 'OpaqueRef:NULL',
      metadata_latest: false,
      is_tools_iso: false,
      cbt_enabled: false,
    })
  })

  it('takes what a client may choose, and ignores all other keys of a record', async () => {
    const { call, srUuid } = await createTestApi()
    const chosen = {
      name_label: 'root disk',
      name_description: 'of a server',
      type: 'system',
      sharable: true,
      read_only: true,
      other_config: { a: 'b' },
      xenstore_data: { c: 'd' },
    }
    const ref = await call('VDI.create', {
      ...chosen,
      SR: `OpaqueRef:${srUuid}`,
      virtual_size: '1048576',
      sm_config: { mine: 'yes', 'at-rest-format': 'raw' },
      tags: ['t', 't'],
      uuid: randomUUID(),
      physical_utilisation: '99',
      snapshot_of: 'OpaqueRef:NULL',
      from_the_future: { x: [1] },
      location: null,
    })
    const record = asMap(await call('VDI.get_record', ref))
    expect(record).toMatchObject({ ...chosen, tags: ['t'], physical_utilisation: { value: 0 } })
    expect(record['sm_config']).toEqual({ mine: 'yes', 'at-rest-format': 'qcow2' })
  })

  it('takes null for what is missing', async () => {
    const { call, srUuid } = await createTestApi()
    const ref = await call('VDI.create', { SR: srUuid, virtual_size: 512, name_label: null })
    expect(await call('VDI.get_name_label', ref)).toBe('')
  })

  it('rounds the size up to whole sectors', async () => {
    const api = await createTestApi()
    const sizes: unknown[] = []
    for (const size of [1, 512, 513, MAXIMUM_DISK_SIZE]) {
      const ref = await createVdi(api, { virtual_size: size })
      sizes.push(await api.call('VDI.get_virtual_size', ref))
    }
    expect(sizes.map(String)).toEqual(['512', '512', '1024', String(MAXIMUM_DISK_SIZE)])
  })

  it.each([
    ['no storage repository', { SR: null }, 'FIELD_TYPE_ERROR', ['SR']],
    ['a null one', { SR: 'OpaqueRef:NULL' }, 'HANDLE_INVALID', ['SR', 'OpaqueRef:NULL']],
    ['no size', { virtual_size: null }, 'FIELD_TYPE_ERROR', ['virtual_size']],
    ['no bytes', { virtual_size: 0 }, 'INVALID_VALUE', ['virtual_size', '0']],
    ['less than that', { virtual_size: '-1' }, 'INVALID_VALUE', ['virtual_size', '-1']],
    ['a size in words', { virtual_size: '1GiB' }, 'FIELD_TYPE_ERROR', ['virtual_size']],
    [
      'more than a disk can have',
      { virtual_size: MAXIMUM_DISK_SIZE + 1 },
      'VDI_TOO_LARGE',
      ['OpaqueRef:NULL', String(MAXIMUM_DISK_SIZE)],
    ],
    [
      'more than a VHD can have',
      { virtual_size: MAXIMUM_VHD_SIZE + 1, sm_config: { 'image-format': 'vhd' } },
      'VDI_TOO_LARGE',
      ['OpaqueRef:NULL', String(MAXIMUM_VHD_SIZE)],
    ],
    ['an unknown type', { type: 'floppy' }, 'INVALID_VALUE', ['type', 'floppy']],
    ['a name that is no text', { name_label: 5 }, 'FIELD_TYPE_ERROR', ['name_label']],
    [
      'a name without end',
      { name_label: 'x'.repeat(1025) },
      'INVALID_VALUE',
      ['name_label', '1025 characters'],
    ],
    ['a map of numbers', { other_config: { a: 1 } }, 'FIELD_TYPE_ERROR', ['other_config']],
  ] as [string, WireMap, string, string[]][])(
    'refuses %s, and makes nothing',
    async (_name, record, code, params) => {
      const api = await createTestApi()
      await expect(createVdi(api, record)).rejects.toMatchObject({ code, params })
      expect(await api.catalog.vdis.list()).toEqual([])
    },
  )

  it('refuses what is no record, and an SR that is not there', async () => {
    const api = await createTestApi()
    await expect(api.call('VDI.create', 'disk')).rejects.toMatchObject({
      code: 'FIELD_TYPE_ERROR',
      message: 'args must be a VDI record',
    })
    const uuid = randomUUID()
    await expect(createVdi(api, { SR: uuid })).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
      params: ['SR', `OpaqueRef:${uuid}`],
    })
  })
})

describe('the format of a VDI', () => {
  it('is shown where it was asked for', async () => {
    const api = await createTestApi()
    const shown: unknown[] = []
    for (const format of ['vhd', 'qcow2', 'raw', 'VHD']) {
      const ref = await createVdi(api, { sm_config: { 'image-format': format } })
      shown.push(await api.call('VDI.get_sm_config', ref))
    }
    expect(shown).toEqual([
      { 'image-format': 'vhd' },
      { 'image-format': 'qcow2' },
      { 'image-format': 'raw' },
      { 'image-format': 'vhd' },
    ])
    expect((await api.catalog.vdis.list()).map((vdi) => vdi.requestedFormat)).toContain('vhd')
  })

  it('is shown for disks that are too large for VHD clients', async () => {
    const api = await createTestApi()
    const limit = 2 * TiB - 8 * KiB
    const large = await createVdi(api, { virtual_size: limit + 512 })
    const small = await createVdi(api, { virtual_size: limit })
    expect(await api.call('VDI.get_sm_config', large)).toEqual({ 'image-format': 'qcow2' })
    expect(await api.call('VDI.get_sm_config', small)).toEqual({ 'at-rest-format': 'qcow2' })
  })

  it('that the storage repository does not hold is refused by name', async () => {
    const api = await createTestApi()
    const { catalog, srUuid } = api
    const [sm] = await catalog.sms.list()
    await catalog.sms.update(sm!.uuid, () => ({ supportedImageFormats: ['qcow2'] }))
    for (const format of ['vhd', 'vmdk']) {
      await expect(createVdi(api, { sm_config: { 'image-format': format } })).rejects.toMatchObject(
        {
          code: 'VDI_INCOMPATIBLE_TYPE',
          params: [`OpaqueRef:${srUuid}`, `Image format ${format} is not supported by ${srUuid}`],
        },
      )
    }
    expect(await catalog.vdis.list()).toEqual([])
  })

  it('stays, whatever is written to sm_config', async () => {
    const api = await createTestApi()
    const ref = await createVdi(api, { sm_config: { 'image-format': 'vhd', mine: '1' } })
    const shown = asMap(await api.call('VDI.get_sm_config', ref))
    await api.call('VDI.set_sm_config', ref, { ...shown, more: '2' })
    const expected = { 'image-format': 'vhd', mine: '1', more: '2' }
    expect(await api.call('VDI.get_sm_config', ref)).toEqual(expected)
    await api.call('VDI.remove_from_sm_config', ref, 'image-format')
    expect(await api.call('VDI.get_sm_config', ref)).toEqual(expected)
    for (const changed of [{ 'image-format': 'raw' }, { 'at-rest-format': 'vhd' }]) {
      await expect(api.call('VDI.set_sm_config', ref, changed)).rejects.toMatchObject({
        code: 'VALUE_NOT_SUPPORTED',
      })
    }
    await expect(
      api.call('VDI.add_to_sm_config', ref, 'image-format', 'raw'),
    ).rejects.toMatchObject({ code: 'MAP_DUPLICATE_KEY' })
    expect(await api.call('VDI.get_sm_config', ref)).toEqual(expected)
  })
})

describe('VDI.destroy', () => {
  it('takes the VDI away and asks for its layers to be collected', async () => {
    const api = await createTestApi()
    const ref = await createVdi(api)
    await addLayer(api.catalog, ref.slice('OpaqueRef:'.length))
    expect(await api.call('VDI.get_physical_utilisation', ref)).toEqual(new WireInt(3 * MiB))
    expect(await api.call('VDI.destroy', ref)).toBe('')
    expect(api.collected).toEqual([api.srUuid])
    await expect(api.call('VDI.destroy', ref)).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
      params: ['VDI', ref],
    })
    expect(api.collected).toHaveLength(1)
  })

  it('waits for nobody: a VDI that is written to stays', async () => {
    const api = await createTestApi()
    const ref = await createVdi(api)
    const release = api.leases.take(ref.slice('OpaqueRef:'.length), 'OpaqueRef:task')
    expect(await api.call('VDI.get_record', ref)).toMatchObject({
      allowed_operations: ['snapshot', 'clone', 'copy', 'list_changed_blocks'],
      current_operations: {},
      storage_lock: true,
    })
    await expect(api.call('VDI.destroy', ref)).rejects.toMatchObject({
      code: 'VDI_IN_USE',
      params: [ref, 'OpaqueRef:task'],
    })
    expect(api.collected).toEqual([])
    release()
    await api.call('VDI.destroy', ref)
  })
})

describe('snapshots', () => {
  it('and their disk know each other', async () => {
    const api = await createTestApi()
    const ref = await createVdi(api)
    const vdi = ref.slice('OpaqueRef:'.length)
    const snapshotTime = new Date('2025-01-02T03:04:05Z')
    const fixed = { srUuid: api.srUuid, virtualSize: GiB, format: 'qcow2' } as const
    const { uuid } = await api.catalog.vdis.create({
      ...fixed,
      isSnapshot: true,
      snapshotOfUuid: vdi,
      snapshotTime,
    })
    expect(await api.call('VDI.get_snapshots', ref)).toEqual([`OpaqueRef:${uuid}`])
    expect(await api.call('VDI.get_record', uuid)).toMatchObject({
      is_a_snapshot: true,
      snapshot_of: ref,
      snapshot_time: snapshotTime,
    })
  })
})
