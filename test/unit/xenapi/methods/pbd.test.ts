// PBDs, SR.introduce and SR.probe: how a storage repository is detached, moved, attached and found
// again.

import { randomUUID } from 'node:crypto'
import { cp, mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Change } from '../../../../src/catalog/changes.ts'
import { attachAllSrs } from '../../../../src/operations/attach-all-srs.ts'
import { createRawSource } from '../../../support/sources.ts'
import { createTestFolder } from '../../../support/tools.ts'
import { asMap, createTestApi } from '../../../support/xenapi.ts'

const raw = async (folder: string, uuid: string = randomUUID()): Promise<string> => {
  await createRawSource(folder, `${uuid}.raw`, { size: 4096, parts: [[0, 512]] })
  return uuid
}

/** An SR on a folder with one image. */
const start = async () => {
  const api = await createTestApi()
  onTestFinished(() => api.storage.upkeep.settled())
  const { call, hostUuid } = api
  const folder = await createTestFolder()
  const vdi = await raw(folder)
  const config = { location: folder }
  const fixed = ['0', 'existing', '', 'file', '', false, {}] as const
  const sr = (await call('SR.create', hostUuid, config, ...fixed)) as string
  const [pbd] = asMap(await call('SR.get_record', sr))['PBDs'] as string[]
  const changes: Change[] = []
  api.catalog.changes.subscribe((change) => changes.push(change))
  const told = (): string[] =>
    changes
      .splice(0)
      .filter(({ className }) => className === 'PBD')
      .map(({ operation }) => operation)
  const createPbd = (location: string, more: object = {}) =>
    call('PBD.create', { host: hostUuid, SR: sr, device_config: { location }, ...more })
  return { ...api, folder, vdi, sr, pbd: pbd!, told, createPbd }
}

const notAttached = { code: 'SR_NOT_ATTACHED' }

describe('PBD.unplug', () => {
  it('detaches the SR: nothing can be read, written or found there until it is plugged', async () => {
    const { call, sr, vdi, pbd, told } = await start()
    expect(await call('PBD.unplug', pbd)).toBe('')
    expect(told()).toEqual(['mod'])
    expect(await call('PBD.get_currently_attached', pbd)).toBe(false)
    for (const refused of [
      call('VDI.copy', vdi, sr),
      call('VDI.snapshot', vdi),
      call('VDI.update', vdi),
      call('VDI.create', { SR: sr, virtual_size: '1048576' }),
      call('SR.scan', sr),
      call('SR.destroy', sr),
    ]) {
      await expect(refused).rejects.toMatchObject({
        ...notAttached,
        message: expect.stringMatching(/its PBD is not plugged: pbd-plug attaches it$/) as string,
      })
    }
    expect(await call('PBD.unplug', pbd)).toBe('')
    expect(await call('PBD.plug', pbd)).toBe('')
    expect(await call('PBD.get_currently_attached', pbd)).toBe(true)
    expect(await call('VDI.update', vdi)).toBe('')
    expect(await call('PBD.plug', pbd)).toBe('')
  })

  it('holds over a restart', async () => {
    const { call, catalog, context, pbd, sr } = await start()
    await call('PBD.unplug', pbd)
    await attachAllSrs(context)
    expect(await call('PBD.get_currently_attached', pbd)).toBe(false)
    expect((await catalog.srs.get(sr.replace('OpaqueRef:', '')))?.isPlugged).toBe(false)
  })

  it('is refused while a VDI is written into', async () => {
    const { call, leases, vdi, pbd } = await start()
    const release = leases.take(vdi, 'an import', 'import')
    await expect(call('PBD.unplug', pbd)).rejects.toMatchObject({
      code: 'OTHER_OPERATION_IN_PROGRESS',
    })
    release()
    expect(await call('PBD.get_currently_attached', pbd)).toBe(true)
    await call('PBD.unplug', pbd)
  })
})

describe('PBD.plug', () => {
  it('of a folder that is away says so, and the SR stays unplugged', async () => {
    const { call, pbd, folder } = await start()
    await call('PBD.unplug', pbd)
    await rename(folder, `${folder}-away`)
    await expect(call('PBD.plug', pbd)).rejects.toMatchObject(notAttached)
    await rename(`${folder}-away`, folder)
    await expect(call('PBD.get_currently_attached', pbd)).resolves.toBe(false)
    await call('PBD.plug', pbd)
    expect(await call('PBD.get_currently_attached', pbd)).toBe(true)
  })

  it('finds what was put into the folder meanwhile', async () => {
    const { call, pbd, sr, folder, vdi } = await start()
    await call('PBD.unplug', pbd)
    const more = await raw(folder)
    await call('PBD.plug', pbd)
    const found = [vdi, more].map((uuid) => `OpaqueRef:${uuid}`)
    expect(new Set((await call('SR.get_VDIs', sr)) as string[])).toEqual(new Set(found))
  })
})

describe('PBD.destroy and PBD.create', () => {
  it('move an SR to another folder, with its VDIs', async () => {
    const { call, pbd, sr, folder, vdi, told, createPbd } = await start()
    await expect(call('PBD.destroy', pbd)).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' })
    await call('PBD.unplug', pbd)
    await call('PBD.destroy', pbd)
    expect(await call('SR.get_PBDs', sr)).toEqual([])
    await expect(call('PBD.get_record', pbd)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
    await expect(call('VDI.update', vdi)).rejects.toThrow(/it has no PBD: pbd-create says/)
    const moved = join(await createTestFolder(), 'moved')
    await cp(folder, moved, { recursive: true, preserveTimestamps: true })
    told()
    expect(await createPbd(moved, { other_config: { a: 'b' } })).toBe(pbd)
    expect(told()).toEqual(['add'])
    expect(await call('PBD.get_record', pbd)).toMatchObject({
      device_config: { location: moved },
      currently_attached: false,
      other_config: { a: 'b' },
    })
    await call('PBD.plug', pbd)
    expect(await call('VDI.update', vdi)).toBe('')
    expect(await call('VDI.get_missing', vdi)).toBe(false)
  })

  it('take no folder with other files, and no second PBD', async () => {
    const { call, pbd, sr, createPbd, hostUuid } = await start()
    await expect(createPbd(await createTestFolder())).rejects.toMatchObject({
      code: 'PBD_EXISTS',
      params: [sr, `OpaqueRef:${hostUuid}`, pbd],
    })
    await call('PBD.unplug', pbd)
    await call('PBD.destroy', pbd)
    const other = await createTestFolder()
    await raw(other)
    await expect(createPbd(other)).rejects.toMatchObject({
      code: 'VALUE_NOT_SUPPORTED',
      params: ['device_config:location', other, expect.stringContaining('none of the 1 image')],
    })
    expect(await readdir(other)).toHaveLength(1)
    await expect(createPbd('/nowhere')).rejects.toMatchObject({ code: 'VALUE_NOT_SUPPORTED' })
    expect(await call('SR.get_PBDs', sr)).toEqual([])
  })

  it('keep other_config', async () => {
    const { call, pbd, told } = await start()
    await call('PBD.add_to_other_config', pbd, 'a', 'b')
    expect(await call('PBD.get_other_config', pbd)).toEqual({ a: 'b' })
    expect(told()).toEqual(['mod'])
  })
})

describe('SR.introduce', () => {
  it('brings a forgotten SR back, under its uuid and with its VDIs', async () => {
    const { call, sr, pbd, vdi, createPbd, folder } = await start()
    await call('PBD.unplug', pbd)
    await call('SR.forget', sr)
    const uuid = sr.replace('OpaqueRef:', '')
    const introduce = () =>
      call('SR.introduce', uuid, 'again', 'back', 'file', '', true, { key: 'kept' })
    expect(await introduce()).toBe(sr)
    await expect(introduce()).rejects.toMatchObject({ code: 'SR_UUID_EXISTS', params: [uuid] })
    expect(await call('SR.get_record', sr)).toMatchObject({
      name_label: 'again',
      name_description: 'back',
      content_type: 'user',
      shared: true,
      PBDs: [],
      sm_config: { key: 'kept' },
    })
    await expect(call('SR.scan', sr)).rejects.toMatchObject(notAttached)
    await createPbd(folder)
    await call('PBD.plug', pbd)
    expect(await call('SR.get_VDIs', sr)).toEqual([`OpaqueRef:${vdi}`])
  })

  it.each([
    ['an unknown type', ['', 'a', '', 'nfs', ''], 'SR_UNKNOWN_DRIVER'],
    ['what is no uuid', ['x', 'a', '', 'file', ''], 'INVALID_VALUE'],
  ])('refuses %s', async (_, args, code) => {
    const { call } = await createTestApi()
    await expect(call('SR.introduce', ...args)).rejects.toMatchObject({ code })
  })
})

describe('SR.probe', () => {
  it('tells the SRs in a folder and right below, and changes nothing', async () => {
    const { call, sr, folder, hostUuid } = await start()
    const below = randomUUID()
    await mkdir(join(folder, below))
    const probe = (location: string) => call('SR.probe', hostUuid, { location }, 'file', {})
    const uuids = [...((await probe(folder)) as string).matchAll(/<UUID>(.*)<\/UUID>/g)]
    expect(uuids.map(([, uuid]) => uuid)).toEqual([sr.replace('OpaqueRef:', ''), below])
    expect(await probe(await createTestFolder())).toBe(
      '<?xml version="1.0" ?>\n<SRlist>\n</SRlist>\n',
    )
    await expect(probe('')).rejects.toMatchObject({ code: 'VALUE_NOT_SUPPORTED' })
    await expect(call('SR.probe', hostUuid, {}, 'nfs')).rejects.toMatchObject({
      code: 'SR_UNKNOWN_DRIVER',
    })
  })
})

it.each(['PBD.create', 'PBD.destroy', 'PBD.plug', 'PBD.unplug', 'SR.introduce', 'SR.probe'])(
  '%s needs a pool-operator',
  async (method) => {
    const { dispatcher, loginAs, pbd, hostUuid } = await start()
    const args = {
      'PBD.create': [{}],
      'SR.introduce': ['', 'a', '', 'file', ''],
      'SR.probe': [hostUuid, {}, 'file'],
    }[method] ?? [pbd]
    const params = [await loginAs('vm-power-admin'), ...args]
    await expect(dispatcher.call({ method, params })).rejects.toMatchObject({
      code: 'RBAC_PERMISSION_DENIED',
    })
  },
)
