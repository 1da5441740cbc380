// VDIs, storage repositories, the pool, hosts: made, read, changed, destroyed.

import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { GiB } from '../../../src/units.ts'
import {
  addLayer,
  beginLayer,
  createStartedCatalog,
  createTestClock,
  createTestVdi,
} from '../../support/catalogs.ts'

describe('vdis', () => {
  it('start as an empty user disk', async () => {
    const clock = createTestClock()
    const { catalog, srUuid } = await createStartedCatalog(':memory:', clock)
    const vdi = await catalog.vdis.create({ srUuid, virtualSize: GiB, format: 'raw' })
    expect(vdi).toEqual({
      uuid: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      srUuid,
      nameLabel: '',
      nameDescription: '',
      virtualSize: GiB,
      layerUuid: null,
      contentUuid: null,
      contentAt: null,
      changedAt: clock.now(),
      cbtEnabled: false,
      format: 'raw',
      requestedFormat: null,
      type: 'user',
      sharable: false,
      readOnly: false,
      onBoot: 'persist',
      allowCaching: false,
      incomingMoveUuid: null,
      otherConfig: {},
      smConfig: {},
      xenstoreData: {},
      tags: [],
      isSnapshot: false,
      missing: false,
      snapshotOfUuid: null,
      snapshotTime: null,
      createdAt: clock.now(),
    })
    expect(await catalog.vdis.get(vdi.uuid)).toEqual(vdi)
    expect(await catalog.vdis.get(randomUUID())).toBeUndefined()
  })

  it('tell when an image of them last became another: a condition by date relies on it', async () => {
    const clock = createTestClock()
    const { catalog, srUuid } = await createStartedCatalog(':memory:', clock)
    const { uuid: vdiUuid } = await catalog.vdis.create({ srUuid, virtualSize: GiB, format: 'vhd' })
    const changedNow = async (): Promise<boolean> => {
      const { changedAt } = (await catalog.vdis.get(vdiUuid))!
      return changedAt.getTime() === clock.now().getTime()
    }
    const uuid = await beginLayer(catalog, srUuid)
    // An import takes its time: readers have the old content until it ends.
    clock.advance(1000)
    const sealed = { uuid, parentUuid: null, fileSize: 1 }
    await catalog.layers.commit({ ...sealed, vdiUuid, expectedLayerUuid: null })
    expect(await changedNow()).toBe(true)
    clock.advance(1000)
    await catalog.vdis.update(vdiUuid, () => ({ nameLabel: 'new' }))
    expect(await changedNow()).toBe(false)
    await catalog.vdis.resize(vdiUuid, 2 * GiB)
    expect(await changedNow()).toBe(true)
    clock.advance(1000)
    const vdi = (await catalog.vdis.get(vdiUuid))!
    const target = { srUuid, format: 'qcow2', requestedFormat: null } as const
    await catalog.vdis.move(
      [{ ...target, vdis: [{ vdi, layerUuid: vdi.layerUuid }] }],
      undefined,
      vdi.uuid,
    )
    expect(await changedNow()).toBe(true)
  })

  it('are listed in the order they were made', async () => {
    const clock = createTestClock()
    const { catalog, srUuid } = await createStartedCatalog(':memory:', clock)
    for (const name of ['c', 'a', 'b']) {
      await createTestVdi(catalog, srUuid, name)
      clock.advance(1)
    }
    const names = (await catalog.vdis.list()).map((vdi) => vdi.nameLabel)
    expect(names).toEqual(['c', 'a', 'b'])
  })

  it('need a storage repository, and a sealed layer of it', async () => {
    const { catalog, srUuid, hostUuid } = await createStartedCatalog()
    const layerUuid = await beginLayer(catalog, srUuid)
    const create = (vdi: { srUuid: string; layerUuid?: string }) =>
      catalog.vdis.create({ virtualSize: GiB, format: 'qcow2', ...vdi })
    await expect(create({ srUuid: hostUuid })).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
      params: ['SR', `OpaqueRef:${hostUuid}`],
    })
    await expect(create({ srUuid, layerUuid })).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
    expect(await catalog.vdis.list()).toEqual([])
  })

  it('change only where they were told to, and not at all when the change throws', async () => {
    const { catalog, srUuid } = await createStartedCatalog()
    const { uuid } = await createTestVdi(catalog, srUuid)
    await catalog.vdis.update(uuid, (vdi) => ({ otherConfig: { ...vdi.otherConfig, a: '1' } }))
    await catalog.vdis.update(uuid, (vdi) => ({ otherConfig: { ...vdi.otherConfig, b: '2' } }))
    await catalog.vdis.update(uuid, () => ({}))
    const refuse = (): never => {
      throw new AppError('MAP_DUPLICATE_KEY', ['VDI', 'other_config', uuid, 'a'])
    }
    await expect(catalog.vdis.update(uuid, refuse)).rejects.toMatchObject({
      code: 'MAP_DUPLICATE_KEY',
    })
    const vdi = await catalog.vdis.get(uuid)
    expect(vdi).toMatchObject({ nameLabel: 'disk', otherConfig: { a: '1', b: '2' }, tags: [] })
  })

  it('do not lose one of two changes made at the same time', async () => {
    const { catalog, srUuid } = await createStartedCatalog()
    const { uuid } = await createTestVdi(catalog, srUuid)
    const keys = Array.from({ length: 20 }, (_, index) => `key${index}`)
    await Promise.all(
      keys.map((key) =>
        catalog.vdis.update(uuid, (vdi) => ({ otherConfig: { ...vdi.otherConfig, [key]: '' } })),
      ),
    )
    expect(Object.keys((await catalog.vdis.get(uuid))!.otherConfig).toSorted()).toEqual(
      keys.toSorted(),
    )
  })

  it('are destroyed once; their snapshots and layers stay', async () => {
    const { catalog, srUuid } = await createStartedCatalog()
    const { uuid } = await createTestVdi(catalog, srUuid)
    const layerUuid = await addLayer(catalog, uuid)
    const snapshot = await catalog.vdis.create({
      srUuid,
      layerUuid,
      virtualSize: GiB,
      format: 'qcow2',
      isSnapshot: true,
      snapshotOfUuid: uuid,
    })
    await catalog.vdis.destroy(uuid)
    expect(await catalog.vdis.get(snapshot.uuid)).toMatchObject({
      layerUuid,
      snapshotOfUuid: null,
      isSnapshot: true,
    })
    const gone = { code: 'HANDLE_INVALID', params: ['VDI', `OpaqueRef:${uuid}`] }
    await expect(catalog.vdis.destroy(uuid)).rejects.toMatchObject(gone)
    await expect(catalog.vdis.update(uuid, () => ({}))).rejects.toMatchObject(gone)
  })
})

describe('srs', () => {
  it('know the formats of their storage manager', async () => {
    const { catalog, srUuid } = await createStartedCatalog()
    expect(await catalog.srs.get(srUuid)).toMatchObject({
      nameLabel: 'Local storage',
      type: 'file',
      contentType: 'user',
      shared: false,
      path: '',
      defaultFormat: 'qcow2',
      supportedFormats: ['qcow2', 'vhd', 'raw'],
    })
    const [sm] = await catalog.sms.list()
    await catalog.sms.update(sm!.uuid, () => ({ supportedImageFormats: ['raw'] }))
    expect((await catalog.srs.list())[0]?.supportedFormats).toEqual(['raw'])
    expect(await catalog.srs.get(randomUUID())).toBeUndefined()
  })
})

describe('pools and hosts', () => {
  it('are changed by name', async () => {
    const { catalog, poolUuid, hostUuid } = await createStartedCatalog()
    await catalog.pools.update(poolUuid, () => ({ nameLabel: 'lab', defaultSrUuid: null }))
    await catalog.hosts.update(hostUuid, () => ({ tags: ['rack 1'] }))
    expect(await catalog.pools.get(poolUuid)).toMatchObject({
      nameLabel: 'lab',
      defaultSrUuid: null,
      masterUuid: hostUuid,
    })
    expect(await catalog.hosts.get(hostUuid)).toMatchObject({ tags: ['rack 1'] })
    await expect(catalog.hosts.update(poolUuid, () => ({}))).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
      params: ['host', `OpaqueRef:${poolUuid}`],
    })
  })
})
