// SRs and VDIs on folders that are there: what the calls check, make and tell.

import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Change } from '../../../../src/catalog/changes.ts'
import { createRawSource } from '../../../support/sources.ts'
import { createTestFolder } from '../../../support/tools.ts'
import type { TestApi } from '../../../support/xenapi.ts'
import { asMap, createTestApi } from '../../../support/xenapi.ts'

const start = async () => {
  const api = await createTestApi()
  onTestFinished(() => api.storage.upkeep.settled())
  const folder = await createTestFolder()
  const changes: Change[] = []
  api.catalog.changes.subscribe((change) => changes.push(change))
  /** Changes since it was asked last, of all but tasks. */
  const told = (): string[] =>
    changes
      .splice(0)
      .filter(({ className }) => className !== 'task')
      .map(({ className, operation }) => `${className} ${operation}`)
  return {
    ...api,
    folder,
    told,
    create: (deviceConfig: Record<string, string>) => createSr(api, deviceConfig),
  }
}

const createSr = async (
  api: Pick<TestApi, 'call' | 'hostUuid'>,
  deviceConfig: Record<string, string>,
  type = 'file',
): Promise<string> =>
  (await api.call(
    'SR.create',
    api.hostUuid,
    deviceConfig,
    '0',
    'existing',
    '',
    type,
    '',
    false,
    {},
  )) as string

const raw = async (folder: string): Promise<string> => {
  const uuid = randomUUID()
  await createRawSource(folder, `${uuid}.raw`, { size: 4096, parts: [[0, 512]] })
  return uuid
}

describe('SR.create', () => {
  it('makes an SR on a folder, scans it, and tells of all', async () => {
    const { call, create, folder, told, catalog } = await start()
    const uuid = await raw(folder)
    const sr = await create({ location: folder })
    expect(told()).toEqual(['SR add', 'VDI add', 'SR mod', 'PBD add'])
    expect(await call('SR.get_record', sr)).toMatchObject({
      name_label: 'existing',
      type: 'file',
      content_type: 'user',
      VDIs: [`OpaqueRef:${uuid}`],
      sm_config: {},
      allowed_operations: [
        'forget',
        'scan',
        'update',
        'vdi_introduce',
        'destroy',
        'vdi_mirror',
        'vdi_create',
        'vdi_clone',
        'vdi_snapshot',
        'vdi_resize',
        'vdi_destroy',
      ],
    })
    const [pbd] = asMap(await call('SR.get_record', sr))['PBDs'] as string[]
    expect(await call('PBD.get_record', pbd!)).toMatchObject({
      SR: sr,
      device_config: { location: folder },
      currently_attached: true,
    })
    expect(await call('VDI.get_record', uuid)).toMatchObject({
      name_label: `${uuid}.raw`,
      SR: sr,
      read_only: false,
      missing: false,
      virtual_size: { value: 4096 },
      sm_config: { 'at-rest-format': 'raw' },
    })
    expect((await catalog.srs.list()).find(({ path }) => path === folder)).toMatchObject({
      path: folder,
      defaultFormat: 'qcow2',
    })
  })

  it('takes the format that a device_config prefers', async () => {
    const { create, folder, catalog } = await start()
    await create({ location: folder, 'preferred-image-formats': 'vmdk, vhd,qcow2' })
    expect((await catalog.srs.list()).find(({ path }) => path === folder)).toMatchObject({
      defaultFormat: 'vhd',
    })
  })

  const refusals: [string, (folder: string) => Promise<Record<string, string>>, string][] = [
    ['a relative path', async () => ({ location: 'images' }), 'it is no absolute path'],
    [
      'a folder that is not there',
      async (folder) => ({ location: join(folder, 'no') }),
      'there is no such folder',
    ],
    [
      'a file',
      async (folder) => ({ location: join(folder, `${await raw(folder)}.raw`) }),
      'it is no folder',
    ],
    [
      'a word for read-only',
      async (folder) => ({ location: folder, 'read-only': 'yes' }),
      'true or false',
    ],
    [
      'formats that are none',
      async (folder) => ({ location: folder, 'preferred-image-formats': 'vmdk' }),
      'names none of qcow2, vhd, raw',
    ],
    [
      'the folder around the data folder',
      async () => ({ location: '/' }),
      'it is around the data folder of this server',
    ],
    ['read-only without a folder', async () => ({ 'read-only': 'true' }), 'needs a location'],
  ]
  it.each(refusals)('refuses %s and makes nothing', async (_name, config, message) => {
    const { create, folder, catalog, told } = await start()
    const deviceConfig = await config(folder)
    const before = await readdir(folder)
    await expect(create(deviceConfig)).rejects.toThrow(message)
    expect(await catalog.srs.list()).toHaveLength(1)
    expect(await readdir(folder)).toEqual(before)
    expect(told()).toEqual([])
  })

  it('refuses a folder that an SR has, inside it or around it, by whatever path', async () => {
    const { create, folder } = await start()
    const inside = join(folder, 'sub', 'sub')
    await mkdir(inside, { recursive: true })
    const link = join(await createTestFolder(), 'link')
    await symlink(join(folder, 'sub'), link)
    await create({ location: join(folder, 'sub') })
    const taken = { code: 'VALUE_NOT_SUPPORTED' }
    for (const [location, place] of [
      [join(folder, 'sub'), 'the same as'],
      [`${join(folder, 'sub')}/../sub/.`, 'the same as'],
      [link, 'the same as'],
      [inside, 'inside'],
      [join(link, 'sub'), 'inside'],
      [folder, 'around'],
    ] as const) {
      const making = create({ location, 'read-only': 'true' })
      await expect(making).rejects.toMatchObject({
        ...taken,
        message: expect.stringContaining(`it is ${place} the folder of the storage repository`),
      })
    }
  })

  it('makes one of two that are asked for at once', async () => {
    const { create, folder, catalog } = await start()
    const asked = await Promise.allSettled([
      create({ location: folder }),
      create({ location: folder }),
    ])
    expect(asked.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(await catalog.srs.list()).toHaveLength(2)
  })

  it('refuses an unknown type, an unknown host and a lower role', async () => {
    const api = await start()
    const { folder, call, hostUuid, loginAs, dispatcher } = api
    const wrong = createSr(api, { location: folder }, 'nfs')
    await expect(wrong).rejects.toMatchObject({ code: 'SR_UNKNOWN_DRIVER', params: ['nfs'] })
    const args = [{ location: folder }, '0', 'a', '', 'file', '', false, {}] as const
    const nowhere = call('SR.create', randomUUID(), ...args)
    await expect(nowhere).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
    const session = await loginAs('vm-power-admin')
    const low = dispatcher.call({ method: 'SR.create', params: [session, hostUuid, ...args] })
    await expect(low).rejects.toMatchObject({ code: 'RBAC_PERMISSION_DENIED' })
  })
})

describe('SR.create by a pool-operator', () => {
  const asOperator = async (srRoots: readonly string[] = []) => {
    const api = await createTestApi({ srRoots })
    onTestFinished(() => api.storage.upkeep.settled())
    const session = await api.loginAs('pool-operator')
    const call: TestApi['call'] = (method, ...params) =>
      api.dispatcher.call({ method, params: [session, ...params] })
    return {
      ...api,
      callAsOperator: call,
      create: (location: string) => createSr({ ...api, call }, { location }),
    }
  }

  it('on /etc is refused, by root it passes', async () => {
    const { create, call, hostUuid, catalog } = await asOperator()
    await expect(create('/etc')).rejects.toMatchObject({
      code: 'VALUE_NOT_SUPPORTED',
      message: expect.stringContaining('--sr-root'),
    })
    expect(await catalog.srs.list()).toHaveLength(1)
    const config = { location: '/etc', 'read-only': 'true' }
    expect(await createSr({ call, hostUuid }, config)).toMatch(/^OpaqueRef:/)
  })

  it('no more by SR.probe or PBD.create', async () => {
    const { callAsOperator, call, hostUuid } = await asOperator()
    const config = { location: '/etc' }
    const sr = await call('SR.introduce', randomUUID(), 'moved', '', 'file', 'user', false, {})
    const refused = { code: 'VALUE_NOT_SUPPORTED', message: expect.stringContaining('--sr-root') }
    const record = { host: hostUuid, SR: sr, device_config: config }
    await expect(callAsOperator('PBD.create', record)).rejects.toMatchObject(refused)
    expect(await call('SR.get_PBDs', sr)).toEqual([])
    const probing = callAsOperator('SR.probe', hostUuid, config, 'file')
    await expect(probing).rejects.toMatchObject(refused)
  })

  it('goes into the folders of --sr-root alone', async () => {
    const [root, other] = [await createTestFolder(), await createTestFolder()]
    const { create } = await asOperator([root])
    await mkdir(join(root, 'images'))
    expect(await create(join(root, 'images'))).toMatch(/^OpaqueRef:/)
    await expect(create(other)).rejects.toThrow(`--sr-root names, ${root}; only a pool-admin may`)
  })
})

describe('a read-only SR', () => {
  it('refuses what would write, and makes nothing in its folder', async () => {
    const { call, create, folder, catalog } = await start()
    const uuid = await raw(folder)
    const sr = await create({ location: folder, 'read-only': 'true' })
    expect(await readdir(folder)).toEqual([`${uuid}.raw`])
    const refused = { code: 'SR_OPERATION_NOT_SUPPORTED', params: [sr] }
    await expect(call('VDI.create', { SR: sr, virtual_size: '512' })).rejects.toMatchObject(refused)
    await expect(call('VDI.destroy', uuid)).rejects.toMatchObject(refused)
    await expect(call('SR.destroy', sr)).rejects.toMatchObject(refused)
    expect(await call('VDI.get_read_only', uuid)).toBe(true)
    expect(await call('SR.get_allowed_operations', sr)).toEqual([
      'forget',
      'scan',
      'update',
      'vdi_introduce',
      'vdi_mirror',
    ])
    await call('VDI.forget', uuid)
    await call('SR.forget', sr)
    expect(await catalog.srs.list()).toHaveLength(1)
    expect(await readdir(folder)).toEqual([`${uuid}.raw`])
  })
})

describe('SR.scan', () => {
  it('finds what has come, and shows what is wrong', async () => {
    const { call, create, folder, told } = await start()
    const sr = await create({ location: folder })
    const uuid = await raw(folder)
    const bad = `${randomUUID()}.vhd`
    await writeFile(join(folder, bad), 'x')
    told()
    await call('SR.scan', sr)
    expect(told()).toEqual(['VDI add', 'SR mod'])
    expect(await call('SR.get_VDIs', sr)).toEqual([`OpaqueRef:${uuid}`])
    const shown = asMap(await call('SR.get_sm_config', sr))
    expect(shown['scan-problems']).toMatch(new RegExp(`^${bad}: Cannot .*vhd`))
    // A client that writes back what it has read keeps its own keys only.
    await call('SR.set_sm_config', sr, { ...shown, mine: '1' })
    await writeFile(join(folder, bad), '')
    await rename(join(folder, bad), join(folder, 'bad'))
    await call('SR.scan', sr)
    expect(await call('SR.get_sm_config', sr)).toEqual({ mine: '1' })
  })
})

describe('SR.get_scan_problems', () => {
  it('tells all that a scan found, where sm_config shows twenty', async () => {
    const { call, create, folder, loginAs, dispatcher } = await start()
    const names = Array.from({ length: 23 }, () => `${randomUUID()}.vhd`).toSorted()
    for (const name of names) await writeFile(join(folder, name), 'x')
    const sr = await create({ location: folder })
    const shown = asMap(await call('SR.get_sm_config', sr))['scan-problems'] as string
    expect(shown.split('\n')).toHaveLength(21)
    expect(shown).toMatch(
      /\nand 3 more files: SR.get_scan_problems tells all, and so does \/.*txt$/,
    )
    const session = await loginAs('read-only')
    const method = 'SR.get_scan_problems'
    const all = await dispatcher.call({ method, params: [session, sr] })
    expect(Object.keys(asMap(all))).toEqual(names)
    const unknown = { code: 'HANDLE_INVALID' }
    await expect(call(method, `OpaqueRef:${randomUUID()}`)).rejects.toMatchObject(unknown)
  })
})

describe('VDI.introduce and VDI.forget', () => {
  const introduce = (
    { call }: Pick<TestApi, 'call'>,
    sr: string,
    uuid: string,
    location: string,
    ...more: Parameters<TestApi['call']>[1][]
  ) =>
    call(
      'VDI.introduce',
      uuid,
      'mine',
      'described',
      sr,
      'user',
      false,
      true,
      { a: 'b' },
      location,
      ...more,
    )

  it('a forgotten VDI comes back by the name of its file, under any uuid', async () => {
    const api = await start()
    const { call, create, folder, told } = api
    const uuid = await raw(folder)
    const sr = await create({ location: folder })
    told()
    await call('VDI.forget', uuid)
    expect(told()).toEqual(['VDI del', 'SR mod'])
    expect(await readdir(folder)).toContain(`${uuid}.raw`)
    const other = randomUUID()
    const full = [
      { x: 'y' },
      { z: '' },
      true,
      '9',
      '9',
      'OpaqueRef:NULL',
      false,
      '19700101T00:00:00Z',
      'OpaqueRef:NULL',
    ]
    expect(await introduce(api, sr, other, `${uuid}.raw`, ...full)).toBe(`OpaqueRef:${other}`)
    expect(told()).toEqual(['VDI add', 'SR mod', 'VDI mod'])
    expect(await call('VDI.get_record', other)).toMatchObject({
      name_label: 'mine',
      name_description: 'described',
      read_only: true,
      other_config: { a: 'b' },
      xenstore_data: { x: 'y' },
      virtual_size: { value: 4096 },
    })
    await call('SR.scan', sr)
    expect(await call('SR.get_VDIs', sr)).toEqual([`OpaqueRef:${other}`])
    await call('VDI.forget', other)
    await introduce(api, sr, uuid, uuid)
    expect(await call('SR.get_VDIs', sr)).toEqual([`OpaqueRef:${uuid}`])
  })

  it('refuses what is not there, what cannot be read, and what is a VDI already', async () => {
    const api = await start()
    const { create, folder } = api
    const uuid = await raw(folder)
    const sr = await create({ location: folder })
    const bad = `${randomUUID()}.qcow2`
    await writeFile(join(folder, bad), Buffer.alloc(4096))
    const other = randomUUID()
    for (const [id, location, message] of [
      [uuid, `${uuid}.raw`, 'there is a VDI with it already'],
      ['nonsense', `${uuid}.raw`, 'is not valid'],
      [other, `${uuid}.raw`, `it is the content of the VDI ${uuid} already`],
      [other, bad, 'it starts with 0x0'],
      [other, `${other}.raw`, 'there is no image file of that name'],
      [other, `../${uuid}.raw`, 'there is no image file of that name'],
      [other, '/etc/passwd', 'there is no image file of that name'],
    ] as const) {
      const introducing = introduce(api, sr, id, location)
      await expect(introducing).rejects.toMatchObject({
        code: id === 'nonsense' ? 'INVALID_VALUE' : 'VALUE_NOT_SUPPORTED',
        message: expect.stringContaining(message),
      })
    }
  })

  it('a VDI that is being written is not forgotten', async () => {
    const { call, create, folder, leases } = await start()
    const uuid = await raw(folder)
    await create({ location: folder })
    leases.take(uuid, 'OpaqueRef:task')
    await expect(call('VDI.forget', uuid)).rejects.toMatchObject({ code: 'VDI_IN_USE' })
  })
})

describe('SR.forget and SR.destroy', () => {
  it('forget takes the rows and leaves the files; the SR can be made again', async () => {
    const { call, create, folder, told, catalog } = await start()
    const uuid = await raw(folder)
    const sr = await create({ location: folder })
    await call('pool.set_default_SR', (await catalog.pools.list())[0]!.uuid, sr)
    told()
    await call('SR.forget', sr)
    expect(told()).toEqual(['VDI del', 'SR del', 'pool mod', 'PBD del'])
    expect((await catalog.pools.list())[0]!.defaultSrUuid).toBe(null)
    await expect(call('SR.get_record', sr)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
    expect(await readdir(folder)).toContain(`${uuid}.raw`)
    await create({ location: folder })
    expect(await call('VDI.get_uuid', uuid)).toBe(uuid)
  })

  it('destroy wants it empty, and removes its own folder only', async () => {
    const { call, create, folder } = await start()
    const uuid = await raw(folder)
    const sr = await create({ location: folder })
    await expect(call('SR.destroy', sr)).rejects.toMatchObject({
      code: 'SR_NOT_EMPTY',
      params: [sr],
    })
    await call('VDI.forget', uuid)
    await call('SR.destroy', sr)
    expect(await readdir(folder)).toEqual([`${uuid}.raw`])
  })

  it('neither goes while a VDI is read', async () => {
    const { call, create, folder, storage } = await start()
    const uuid = await raw(folder)
    const sr = await create({ location: folder })
    const { disk } = await storage.contents.open(uuid)
    const busy = { code: 'OTHER_OPERATION_IN_PROGRESS', params: ['SR', sr] }
    await expect(call('SR.forget', sr)).rejects.toMatchObject(busy)
    await disk.close()
    await call('SR.forget', sr)
  })

  it('an SR in the data folder that holds VDIs is not forgotten: nothing could find them again', async () => {
    const { call, srUuid, catalog } = await start()
    await call('VDI.create', { SR: srUuid, virtual_size: '512' })
    await expect(call('SR.forget', srUuid)).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' })
    await expect(call('SR.destroy', srUuid)).rejects.toMatchObject({ code: 'SR_NOT_EMPTY' })
    await call('VDI.destroy', (await catalog.vdis.list())[0]!.uuid)
    await call('SR.destroy', srUuid)
    expect(await catalog.srs.list()).toEqual([])
  })
})
