// The calls that make, copy and move VDIs: what clients give and see. What they do with content is
// in test/unit/transfer.

import { describe, expect, it } from 'vitest'
import { METADATA_ONLY } from '../../../../src/catalog/schema.ts'
import { createLayerStore } from '../../../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../../../src/store/files/memory-folder.ts'
import { writeContent } from '../../../../src/transfer/write-layer.ts'
import { GiB, MiB } from '../../../../src/units.ts'
import type { Wire, WireMap } from '../../../../src/xenapi/wire/values.ts'
import { createTestSr } from '../../../support/catalogs.ts'
import { wrapWriting } from '../../../support/content.ts'
import type { TestApi } from '../../../support/xenapi.ts'
import { asMap, createTestApi, createVdi } from '../../../support/xenapi.ts'
import { WireInt } from '../../../../src/xenapi/wire/values.ts'
import { undisturbed } from '../../../support/work.ts'

const NULL_REF = 'OpaqueRef:NULL'
const uuidOf = (ref: Wire): string => (ref as string).slice('OpaqueRef:'.length)

const start = async () => {
  const api = await createTestApi()
  const otherSr = await createTestSr(api.catalog)
  api.storage.stores.attach(otherSr, createLayerStore(createMemoryFolder()))
  const record = async (ref: Wire) => asMap(await api.call('VDI.get_record', ref))
  return { ...api, otherSr: `OpaqueRef:${otherSr}`, record, vdi: await createVdi(api) }
}

/** Makes the call behind a task, and waits for it. */
const runAsync = async (api: TestApi, method: string, ...params: Wire[]) => {
  const task = await api.call(`Async.${method}`, ...params)
  await api.dispatcher.idle()
  return asMap(await api.call('task.get_record', task))
}

describe('VDI.snapshot and VDI.clone', () => {
  it('give VDIs that know where they come from', async () => {
    const { call, vdi, record } = await start()
    const snapshot = await call('VDI.snapshot', vdi, {})
    const ofSnapshot = await call('VDI.snapshot', snapshot)
    const clone = await call('VDI.clone', snapshot, { mode: 'fast' })
    expect(await record(snapshot)).toMatchObject({
      name_label: 'disk',
      is_a_snapshot: true,
      read_only: false,
      snapshot_of: vdi,
      snapshots: [ofSnapshot],
      virtual_size: { value: GiB },
    })
    expect(await record(clone)).toMatchObject({
      is_a_snapshot: false,
      read_only: false,
      snapshot_of: NULL_REF,
      snapshot_time: new Date(0),
    })
    expect(await call('VDI.get_snapshots', vdi)).toEqual([snapshot])
    await call('VDI.destroy', vdi)
    expect(await call('VDI.get_snapshot_of', snapshot)).toBe(NULL_REF)
  })

  it('show the format that was asked for, and that it was not', async () => {
    const api = await start()
    const asked = await createVdi(api, { sm_config: { 'image-format': 'vhd', mine: '1' } })
    const shown = [
      [asked, { 'image-format': 'vhd', mine: '1' }],
      [api.vdi, { 'at-rest-format': 'qcow2' }],
    ] as const
    for (const [source, smConfig] of shown) {
      for (const method of ['VDI.snapshot', 'VDI.clone']) {
        const made = await api.call(method, source, {})
        expect(await api.call('VDI.get_sm_config', made)).toEqual(smConfig)
      }
    }
  })

  it('are told to those who watch', async () => {
    const { call, vdi, srUuid } = await start()
    const { token } = asMap(await call('event.from', ['VDI', 'SR'], '', 0))
    const snapshot = await call('VDI.snapshot', vdi, {})
    const { events } = asMap(await call('event.from', ['VDI', 'SR'], token ?? '', 0))
    const told = (events as WireMap[]).map(({ class: name, operation, ref }) => {
      return { name, operation, ref }
    })
    expect(told).toContainEqual({ name: 'vdi', operation: 'add', ref: snapshot })
    expect(told).toContainEqual({ name: 'vdi', operation: 'mod', ref: vdi })
    expect(told).toContainEqual({ name: 'sr', operation: 'mod', ref: `OpaqueRef:${srUuid}` })
  })
})

describe('the record of a snapshot', () => {
  it('makes a VDI that takes an upload: it does not say read_only', async () => {
    const { call, vdi, record } = await start()
    const snapshot = await record(await call('VDI.snapshot', vdi))
    const made = await call('VDI.create', snapshot)
    expect(await record(made)).toMatchObject({ read_only: false, is_a_snapshot: false })
    expect((await record(made))['allowed_operations']).toContain('resize')
  })

  it('of a read-only disk does not say so either, and nothing writes into it', async () => {
    const { call, vdi, record } = await start()
    await call('VDI.set_read_only', vdi, true)
    const snapshot = await call('VDI.snapshot', vdi)
    expect(await record(snapshot)).toMatchObject({ read_only: false })
    expect((await record(snapshot))['allowed_operations']).not.toContain('resize')
    await expect(call('VDI.copy', vdi, NULL_REF, NULL_REF, snapshot)).rejects.toMatchObject({
      code: 'VDI_READONLY',
    })
  })
})

describe('VDI.copy', () => {
  it('takes null references, also left out', async () => {
    const { call, vdi, otherSr, record } = await start()
    const copy = await call('VDI.copy', vdi, otherSr)
    expect(await record(copy)).toMatchObject({ SR: otherSr, virtual_size: { value: GiB } })
    const again = await call('VDI.copy', vdi, NULL_REF, NULL_REF, copy)
    expect(again).toBe(copy)
    await expect(call('VDI.copy', vdi, NULL_REF)).rejects.toMatchObject({
      code: 'INVALID_VALUE',
      params: ['sr', NULL_REF],
    })
  })

  it('behind a task ends it with the VDI', async () => {
    const api = await start()
    const task = await runAsync(api, 'VDI.copy', api.vdi, api.otherSr)
    const copy = (await api.catalog.vdis.list()).find((row) => row.uuid !== uuidOf(api.vdi))
    expect(task).toMatchObject({
      status: 'success',
      progress: 1,
      result: `<value>OpaqueRef:${copy!.uuid}</value>`,
    })
  })
})

describe('a task that is cancelled', () => {
  it.each(['VDI.copy', 'VDI.pool_migrate'])('stops %s, and all stays as it was', async (method) => {
    const api = await start()
    const { call, vdi, catalog, context, storage, srUuid } = api
    const row = (await catalog.vdis.get(uuidOf(vdi)))!
    await writeContent(context, row, { keepsContent: true, work: undisturbed }, (writer) =>
      writer.write(0, new Uint8Array(MiB).fill(1)),
    )
    const other = await createTestSr(catalog)
    // The store's first write is where the client changes its mind.
    const cancel = async (): Promise<void> => {
      const [task] = await catalog.tasks.list()
      context.transfers.cancel(`OpaqueRef:${task!.uuid}`)
    }
    const store = createLayerStore(createMemoryFolder())
    storage.stores.attach(other, wrapWriting(cancel)(store))
    const more = method === 'VDI.copy' ? [] : [{}]
    const task = await runAsync(api, method, vdi, `OpaqueRef:${other}`, ...more)
    expect(task).toMatchObject({ status: 'cancelled', error_info: [] })
    expect(await call('VDI.get_all')).toEqual([vdi])
    expect(await call('VDI.get_SR', vdi)).toBe(`OpaqueRef:${srUuid}`)
    await storage.upkeep.settled()
    expect(await catalog.layers.list(other)).toEqual([])
  })
})

describe('VDI.resize', () => {
  it.each(['VDI.resize', 'VDI.resize_online'])('%s makes it larger', async (method) => {
    const { call, vdi } = await start()
    await call(method, vdi, String(2 * GiB))
    expect(await call('VDI.get_virtual_size', vdi)).toEqual(new WireInt(2 * GiB))
    await expect(call(method, vdi, GiB)).rejects.toMatchObject({ code: 'INVALID_VALUE' })
  })
})

describe('VDI.pool_migrate', () => {
  it('keeps the reference, and shows the format that was named', async () => {
    const api = await start()
    const { call, vdi, otherSr, record } = api
    const snapshot = await call('VDI.snapshot', vdi, {})
    const task = await runAsync(api, 'VDI.pool_migrate', vdi, otherSr, {
      'dest-img-format': 'vhd',
      live: 'true',
    })
    expect(task).toMatchObject({ status: 'success', result: `<value>${vdi}</value>` })
    for (const ref of [vdi, snapshot]) {
      expect(await record(ref)).toMatchObject({ SR: otherSr, sm_config: { 'image-format': 'vhd' } })
    }
    expect(await call('VDI.get_snapshots', vdi)).toEqual([snapshot])
  })

  it('needs a role that may move things', async () => {
    const { dispatcher, loginAs, vdi, otherSr } = await start()
    const session = await loginAs('vm-admin')
    const call = (method: string, ...params: Wire[]) =>
      dispatcher.call({ method, params: [session, ...params] })
    await call('VDI.snapshot', vdi, {})
    await expect(call('VDI.pool_migrate', vdi, otherSr, {})).rejects.toMatchObject({
      code: 'RBAC_PERMISSION_DENIED',
    })
  })
})

describe('what may be done', () => {
  it('follows from what a VDI is', async () => {
    const api = await start()
    const { call, vdi, catalog, srUuid } = api
    const allowed = async (ref: Wire) => call('VDI.get_allowed_operations', ref)
    const snapshot = await call('VDI.snapshot', vdi, {})
    expect(await allowed(snapshot)).toEqual([
      'snapshot',
      'clone',
      'copy',
      'list_changed_blocks',
      'update',
      'forget',
      'destroy',
    ])
    const readOnly = await createVdi(api, { read_only: true })
    expect(await allowed(readOnly)).toEqual([
      'snapshot',
      'clone',
      'copy',
      'list_changed_blocks',
      'mirror',
      'update',
      'forget',
      'destroy',
    ])
    const fixed = { srUuid, virtualSize: MiB, format: 'qcow2', type: METADATA_ONLY } as const
    expect(await allowed((await catalog.vdis.create(fixed)).uuid)).toEqual([
      'list_changed_blocks',
      'update',
      'forget',
      'destroy',
    ])
    await call('VDI.enable_cbt', vdi)
    const tracked = await call('VDI.snapshot', vdi, {})
    expect(await allowed(tracked)).toContain('data_destroy')
    expect(await allowed(vdi)).toContain('disable_cbt')
  })

  it.each([
    ['import', ['snapshot', 'clone', 'copy', 'list_changed_blocks'], false],
    ['copy', ['snapshot', 'clone', 'copy', 'list_changed_blocks'], true],
    ['mirror', ['clone', 'copy', 'list_changed_blocks'], true],
  ] as const)('follows from what is done: %s', async (operation, allowed, isTold) => {
    const { call, vdi, leases, record } = await start()
    const task = (await call('task.create', 'a', '')) as string
    const release = leases.take(uuidOf(vdi), task, operation)
    expect(await record(vdi)).toMatchObject({
      allowed_operations: allowed,
      current_operations: isTold ? { [task]: operation } : {},
      storage_lock: true,
    })
    await expect(call('VDI.destroy', vdi)).rejects.toMatchObject({ code: 'VDI_IN_USE' })
    await expect(call('VDI.resize', vdi, 2 * GiB)).rejects.toMatchObject({
      code: 'OTHER_OPERATION_IN_PROGRESS',
    })
    release()
    expect(await record(vdi)).toMatchObject({ current_operations: {}, storage_lock: false })
    await call('VDI.destroy', vdi)
  })
})
