// VDI.enable_cbt, VDI.disable_cbt and VDI.list_changed_blocks.

import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { LongText } from '../../../../src/disk/long-text.ts'
import { writeLayer } from '../../../../src/transfer/write-layer.ts'
import { KiB, MiB } from '../../../../src/units.ts'
import { asMap, createTestApi, createVdi, type TestApi } from '../../../support/xenapi.ts'
import { undisturbed } from '../../../support/work.ts'

const size = 4 * MiB

const uuidOf = (ref: string): string => ref.replace('OpaqueRef:', '')

/** Writes 64 KiB of `byte` into each of the blocks, as a new layer. */
const write = async ({ context, catalog }: TestApi, ref: string, blocks: number[], byte = 7) => {
  const vdi = (await catalog.vdis.get(uuidOf(ref)))!
  const below = vdi.layerUuid === null ? undefined : await context.storage.contents.open(vdi.uuid)
  const layer = {
    ...vdi,
    ...(below === undefined ? {} : { below }),
    work: undisturbed,
    commit: (sealed: { uuid: string; parentUuid: string | null; fileSize: number }) =>
      catalog.layers.commit({ ...sealed, vdiUuid: vdi.uuid, expectedLayerUuid: vdi.layerUuid }),
  }
  await writeLayer(context, layer, async (writer) => {
    for (const block of blocks) {
      await writer.write(block * 64 * KiB, Buffer.alloc(64 * KiB, byte))
    }
  })
  await below?.disk.close()
}

/** A row with the content that the VDI has now, as a snapshot is. */
const snapshot = async ({ catalog }: TestApi, ref: string, more = {}): Promise<string> => {
  const { srUuid, virtualSize, format, layerUuid, contentUuid, contentAt } =
    (await catalog.vdis.get(uuidOf(ref)))!
  const content = { srUuid, virtualSize, format, layerUuid, contentUuid, contentAt }
  const { uuid } = await catalog.vdis.create({ ...content, isSnapshot: true, ...more })
  return `OpaqueRef:${uuid}`
}

const listed = async (api: TestApi, from: string, to: string) =>
  (await api.call('VDI.list_changed_blocks', from, to)) as LongText

const changed = async (api: TestApi, from: string, to: string): Promise<string> =>
  Buffer.from((await listed(api, from, to)).toString(), 'base64').toString('hex')

describe('VDI.list_changed_blocks', () => {
  it('tells the blocks between two snapshots, either way', async () => {
    const api = await createTestApi()
    const vdi = await createVdi(api, { virtual_size: size })
    await write(api, vdi, [0, 1, 2, 3])
    const before = await snapshot(api, vdi)
    await write(api, vdi, [3, 9, 63])
    const after = await snapshot(api, vdi, { type: 'cbt_metadata' })
    await write(api, vdi, [20])
    expect(await changed(api, before, after)).toBe('1040000000000001')
    expect(await changed(api, after, before)).toBe('1040000000000001')
    expect(await changed(api, before, vdi)).toBe('1040080000000001')
    expect(await changed(api, vdi, vdi)).toBe('0000000000000000')
  })

  it('has the size of the second; both ways between VDIs of unlike sizes', async () => {
    const api = await createTestApi()
    const small = await createVdi(api, { virtual_size: size })
    const large = await createVdi(api, { virtual_size: 3 * size })
    await write(api, small, [0, 1])
    await write(api, large, [1, 100])
    // Both hold the same in block 1: so little is compared.
    expect(await changed(api, small, large)).toBe(
      '80000000000000000000000008000000' + '0'.repeat(16),
    )
    expect(await changed(api, large, small)).toBe('8000000000000000')
  })

  it('of a VDI whose data has gone, its maps tell', async () => {
    const api = await createTestApi()
    const [one, other] = [
      await createVdi(api, { virtual_size: size }),
      await createVdi(api, { virtual_size: size }),
    ]
    await write(api, one, [0, 1])
    await write(api, other, [1, 2])
    const { storage } = api
    const row = (await api.catalog.vdis.get(uuidOf(one)))!
    const base = (await api.catalog.vdis.get(uuidOf(other)))!
    // Into the cache, from where they are read when the file is only a map.
    await storage.contents.changedBlocks(row.uuid, base.uuid, { narrow: 'never' })
    const { layers } = api.catalog
    const withData = layers.chain.bind(layers)
    layers.chain = async (uuid) =>
      (await withData(uuid)).map((layer) => ({ ...layer, hasData: false }))
    expect(await changed(api, one, other)).toBe('e000000000000000')
    const compared = storage.contents.changedBlocks(row.uuid, base.uuid, { narrow: 'always' })
    await expect(compared).rejects.toMatchObject({
      code: 'VDI_INCOMPATIBLE_TYPE',
      message: expect.stringMatching(/only the block map is left/),
    })
  })

  it('needs no tracking, and may be asked behind a task by an operator of VMs', async () => {
    const api = await createTestApi()
    const vdi = await createVdi(api, { virtual_size: size })
    const session = await api.loginAs('vm-operator')
    const params = [session, vdi, vdi]
    const task = await api.dispatcher.call({ method: 'Async.VDI.list_changed_blocks', params })
    await api.dispatcher.idle()
    expect(await api.call('task.get_record', task)).toMatchObject({
      status: 'success',
      result: `<value>${Buffer.alloc(8).toString('base64')}</value>`,
    })
    const reader = await api.loginAs('read-only')
    const denied = api.dispatcher.call({
      method: 'VDI.list_changed_blocks',
      params: [reader, vdi, vdi],
    })
    await expect(denied).rejects.toMatchObject({ code: 'RBAC_PERMISSION_DENIED' })
  })

  it('says which VDI there is not', async () => {
    const api = await createTestApi()
    const vdi = await createVdi(api, { virtual_size: size })
    const gone = `OpaqueRef:${randomUUID()}`
    for (const [from, to] of [
      [gone, vdi],
      [vdi, gone],
    ] as const) {
      const asked = api.call('VDI.list_changed_blocks', from, to)
      await expect(asked).rejects.toMatchObject({ code: 'HANDLE_INVALID', params: ['VDI', gone] })
    }
  })
})

describe('tracking', () => {
  it('is enabled and disabled, once or twice, and shows in the record and as an event', async () => {
    const api = await createTestApi()
    const vdi = await createVdi(api)
    const enabled = async () => asMap(await api.call('VDI.get_record', vdi))['cbt_enabled']
    expect(await enabled()).toBe(false)
    const { token } = asMap(await api.call('event.from', ['vdi'], '', 0))
    for (const [method, expected] of [
      ['enable_cbt', true],
      ['enable_cbt', true],
      ['disable_cbt', false],
      ['disable_cbt', false],
      ['enable_cbt', true],
    ] as const) {
      expect(await api.call(`VDI.${method}`, vdi)).toBe('')
      expect(await enabled()).toBe(expected)
    }
    expect(await api.call('VDI.get_cbt_enabled', vdi)).toBe(true)
    const { events } = asMap(await api.call('event.from', ['vdi'], token!, 5))
    expect(events).toMatchObject([{ operation: 'mod', ref: vdi, snapshot: { cbt_enabled: true } }])
  })

  it.each(['VDI.enable_cbt', 'VDI.disable_cbt'])('%s refuses what XenAPI does', async (method) => {
    const api = await createTestApi()
    const taken = await snapshot(api, await createVdi(api))
    await expect(api.call(method, taken)).rejects.toMatchObject({
      code: 'OPERATION_NOT_ALLOWED',
      params: [`VDI is a snapshot: ${taken}`],
    })
    const suspended = await createVdi(api, { type: 'suspend' })
    await expect(api.call(method, suspended)).rejects.toMatchObject({
      code: 'VDI_INCOMPATIBLE_TYPE',
      params: [suspended, 'suspend'],
      message: expect.stringMatching(/of type suspend; changes are tracked of user and system/),
    })
    const gone = `OpaqueRef:${randomUUID()}`
    await expect(api.call(method, gone)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
    const session = await api.loginAs('vm-operator')
    const denied = api.dispatcher.call({ method, params: [session, gone] })
    await expect(denied).rejects.toMatchObject({ code: 'RBAC_PERMISSION_DENIED' })
  })
})
