// What VM.assert_can_migrate and VM.migrate_send refuse alike, before anything is made on either
// side; and whom a source believes to be the destination.

import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { login, type Rpc } from '../support/json-rpc.ts'
import { createMachine, receive, type TestMachine } from '../support/machines.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'

const MiB = 1 << 20
const TiB = 2 ** 40

const disks = [
  { format: 'qcow2', size: 8 * MiB, parts: [[MiB, MiB]] },
  { format: 'qcow2', size: 3 * TiB, parts: [[0, MiB]] },
] as const

interface Side {
  readonly server: TestServer
  readonly rpc: Rpc
}

interface Start {
  readonly here: Side
  readonly there: Side
  readonly machine: TestMachine
  /** The storage repository of the destination. */
  readonly sr: string
}

const connect = async (server: TestServer): Promise<Side> => ({ server, rpc: await login(server) })

const start = async (): Promise<Start> => {
  const here = await connect(await startServer())
  const there = await connect(await startServer())
  const machine = await createMachine(here.server, here.rpc, disks)
  const [sr] = await there.rpc<string[]>('SR.get_all')
  return { here, there, machine, sr: sr! }
}

/** All that a client or a person could see of a server. */
const stateOf = async ({ server, rpc }: Side): Promise<unknown> => {
  const files = await readdir(join(server.dataFolder, 'sr'), { recursive: true })
  const [vms, vdis, vbds, vifs] = await Promise.all(
    ['VM', 'VDI', 'VBD', 'VIF'].map((name) => rpc<object>(`${name}.get_all_records`)),
  )
  return { files: files.toSorted(), vms, vdis, vbds, vifs }
}

interface Asked {
  readonly srs?: Record<string, string>
  readonly vifs?: Record<string, string>
  readonly options?: Record<string, string>
  readonly gpus?: Record<string, string>
  readonly formats?: Record<string, string>
  readonly dest?: Record<string, string>
}

/** The errors of both calls, which are the same. */
const refusal = async (
  { here, there, machine }: Start,
  { srs = {}, vifs = {}, options = {}, gpus = {}, formats = {}, dest = {} }: Asked,
  vm = machine.vm,
): Promise<{ code: string; params: readonly string[] }> => {
  const before = [await stateOf(here), await stateOf(there)]
  const errors = []
  for (const method of ['VM.assert_can_migrate', 'VM.migrate_send']) {
    const given = { ...(await receive(there)), ...dest }
    const error = await here.rpc(method, vm, given, true, srs, vifs, options, gpus, formats).then(
      () => {
        throw new Error(`${method} was not refused`)
      },
      (reason: { code: string; params: readonly string[] }) => reason,
    )
    errors.push({ code: error.code, params: error.params })
  }
  expect(errors[1]).toEqual(errors[0])
  expect([await stateOf(here), await stateOf(there)]).toEqual(before)
  return errors[0]!
}

const uuid = (ref: string): string => ref.replace('OpaqueRef:', '')
const unknownRef = `OpaqueRef:${randomUUID()}`

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('a move is refused', () => {
  test('for what the maps say', async () => {
    const world = await start()
    const { machine, sr } = world
    const [small, huge] = machine.vdis as [string, string]
    const { uuid: foreign } = await world.here.rpc<{ uuid: string }>(
      'VDI.get_record',
      await world.here.rpc('VDI.create', {
        SR: (await world.here.rpc<string[]>('SR.get_all'))[0],
        virtual_size: '512',
        name_label: 'of nobody',
      }),
    )
    const cases: readonly (readonly [Asked, string, readonly unknown[]])[] = [
      [{ srs: { [small]: unknownRef } }, 'HANDLE_INVALID', ['SR', unknownRef]],
      [{ srs: { [unknownRef]: sr } }, 'HANDLE_INVALID', ['VDI', unknownRef]],
      [{ srs: { [foreign]: sr } }, 'INVALID_VALUE', ['vdi_map', `OpaqueRef:${foreign}`]],
      [
        { formats: { [foreign]: 'vhd' } },
        'INVALID_VALUE',
        ['vdi_format_map', `OpaqueRef:${foreign}`],
      ],
      [
        { formats: { [small]: 'vmdk' } },
        'VDI_INCOMPATIBLE_TYPE',
        [sr, `Image format vmdk is not supported by ${uuid(sr)}`],
      ],
      [{ formats: { [huge]: 'vhd' } }, 'VDI_TOO_LARGE', [huge, String(2040 * 2 ** 30)]],
      [{ vifs: { [unknownRef]: unknownRef } }, 'HANDLE_INVALID', ['VIF', unknownRef]],
      [{ options: { kopy: 'true' } }, 'INVALID_VALUE', ['options', 'kopy']],
      [{ options: { copy: 'perhaps' } }, 'FIELD_TYPE_ERROR', ['options:copy']],
      [{ gpus: { a: 'b' } }, 'VALUE_NOT_SUPPORTED', expect.arrayContaining(['vgpu_map'])],
      [{ dest: { session_id: '' } }, 'INVALID_VALUE', ['dest', 'session_id']],
      [{ dest: { session_id: unknownRef } }, 'SESSION_INVALID', []],
    ] as never
    for (const [asked, code, params] of cases) {
      expect(await refusal(world, asked)).toEqual({ code, params })
    }
    const [vif] = await world.here.rpc<string[]>('VIF.get_all')
    expect(await refusal(world, { vifs: { [vif!]: unknownRef } })).toEqual({
      code: 'HANDLE_INVALID',
      params: ['network', unknownRef],
    })
    // The driver's choice.
    const { here, there } = world
    const dest = await receive(there)
    const formats = { [small]: '', [huge]: 'QCOW2' }
    await here.rpc('VM.assert_can_migrate', machine.vm, dest, true, {}, {}, {}, {}, formats)
  })

  test('without a default storage repository, unless each disk is named', async () => {
    const world = await start()
    const { here, there, machine, sr } = world
    const [pool] = await there.rpc<string[]>('pool.get_all')
    await there.rpc('pool.set_default_SR', pool, 'OpaqueRef:NULL')
    const [first, second] = machine.vdis as [string, string]
    expect(await refusal(world, {})).toEqual({ code: 'VDI_NOT_IN_MAP', params: [first] })
    expect(await refusal(world, { srs: { [first]: sr } })).toEqual({
      code: 'VDI_NOT_IN_MAP',
      params: [second],
    })
    const srs = { [first]: sr, [second]: sr }
    await here.rpc('VM.assert_can_migrate', machine.vm, await receive(there), true, srs, {}, {})
  })

  test('for what the disks and the VM are', async () => {
    const world = await start()
    const { here, there, machine } = world
    const [disk] = machine.vdis as [string]
    await here.rpc('VDI.enable_cbt', disk)
    expect(await refusal(world, {})).toEqual({ code: 'VDI_CBT_ENABLED', params: [disk] })
    await here.rpc('VDI.disable_cbt', disk)
    await here.rpc('VDI.set_on_boot', disk, 'reset')
    const { code } = await refusal(world, {})
    expect(code).toBe('VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION')
    await here.rpc('VDI.set_on_boot', disk, 'persist')
    const other = await here.rpc<string>('VM.create', { name_label: 'other' })
    const vbd = await here.rpc<string>('VBD.create', { VM: other, VDI: disk, userdevice: '0' })
    const inUse = await refusal(world, {})
    expect(inUse).toEqual({ code: 'VDI_IN_USE', params: [disk, `the VM ${uuid(other)}`] })
    await here.rpc('VBD.destroy', vbd)
    const snapshot = await here.rpc<string>('VM.snapshot', machine.vm, 'first')
    expect((await refusal(world, {}, snapshot)).code).toBe('OPERATION_NOT_ALLOWED')
    await here.rpc('VM.add_to_blocked_operations', machine.vm, 'migrate_send', 'BECAUSE')
    expect(await refusal(world, {})).toEqual({
      code: 'OPERATION_BLOCKED',
      params: [machine.vm, 'BECAUSE'],
    })
    await here.rpc('VM.remove_from_blocked_operations', machine.vm, 'migrate_send')
    // The same VM comes a second time.
    await here.rpc(
      'VM.migrate_send',
      machine.vm,
      await receive(there),
      true,
      {},
      {},
      { copy: 'true' },
    )
    await here.rpc('VM.assert_can_migrate', machine.vm, await receive(there), true, {}, {}, {})
  })

  test('to a storage repository that is read-only', async () => {
    const world = await start()
    const { there, machine } = world
    const [host] = await there.rpc<string[]>('host.get_all')
    const config = { location: await createTestFolder(), 'read-only': 'true' }
    const made = ['0', 'shelf', '', 'file', '', false, {}]
    const sr = await there.rpc<string>('SR.create', host, config, ...made)
    expect(await refusal(world, { srs: { [machine.vdis[0]!]: sr } })).toEqual({
      code: 'SR_OPERATION_NOT_SUPPORTED',
      params: [sr],
    })
  })

  test('to a server that is none of ours', async () => {
    const world = await start()
    const { machine, here, there } = world
    const port = (await freePort()).toString()
    const gone = await refusal(world, { dest: { master: `http://127.0.0.1:${port}/` } })
    expect(gone).toEqual({ code: 'CANNOT_CONTACT_HOST', params: [`127.0.0.1:${port}`] })
    const xenserver = await startFake({ product_brand: 'XenServer' })
    const { code, params } = await refusal(world, { dest: { master: xenserver } })
    expect(code).toBe('OPERATION_NOT_ALLOWED')
    expect(params[0]).toMatch(/is XenServer: .*vdi-export/)
    const { code: ftp } = await refusal(world, { dest: { master: 'ftp://127.0.0.1/' } })
    expect(ftp).toBe('INVALID_VALUE')
    const dest = await receive(there)
    await here.rpc('VM.migrate_send', machine.vm, dest, true, {}, {}, { copy: 'true' })
    const [copy] = await there.rpc<string[]>('VM.get_all')
    const back = await receive(here)
    await there.rpc('VM.migrate_send', copy, back, true, {}, {}, {})
    expect(await there.rpc('VM.get_all')).toEqual([])
  })
})

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** Answers every call with the same; its URL. */
const startFake = async (result: unknown): Promise<string> => {
  const server = createServer((_request, response) => {
    response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

describe.skipIf(!hasTool('openssl') || !hasTool('qemu-img'))('a source believes', () => {
  test('the certificate that it can check, and no other', async () => {
    const folder = await createTestFolder()
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    const names = ['-subj', '/CN=there', '-addext', 'subjectAltName=DNS:localhost']
    const files = ['-keyout', key, '-out', cert]
    const kind = ['-x509', '-nodes', '-days', '2', '-newkey', 'rsa:2048']
    await run('openssl', ['req', ...kind, ...names, ...files])
    const { stdout } = await run('openssl', [
      'x509',
      '-in',
      cert,
      '-noout',
      '-fingerprint',
      '-sha256',
    ])
    const fingerprint = stdout.trim().replace(/^.*=/, '')

    const tls = ['--tls-cert', cert, '--tls-key', key]
    const plainPort = await freePort()
    const there = await startServer({
      args: [...tls, '--listen-plain', `127.0.0.1:${plainPort}`],
    })
    // Calls of the test go over the plain port, the move over TLS.
    const thereSide = await connect({ ...there, url: `http://127.0.0.1:${plainPort}` })
    const trusting = await connect(await startServer({ args: ['--migrate-ca', cert] }))
    const here = await connect(await startServer())
    const url = `https://localhost:${there.port}`
    const byAddress = `https://127.0.0.1:${there.port}`
    const machine = await createMachine(here.server, here.rpc, [disks[0]])
    const second = await createMachine(trusting.server, trusting.rpc, [disks[0]])
    const send = async (
      from: Side,
      vm: string,
      to: string,
      options: Record<string, string>,
    ): Promise<unknown> => {
      const dest = await receive({ rpc: thereSide.rpc, url: to })
      return from.rpc('VM.migrate_send', vm, dest, true, {}, {}, { ...options, copy: 'true' })
    }
    const isRefused = { code: 'OPERATION_NOT_ALLOWED' }
    const wrong = fingerprint.replaceAll(/[0-9]/g, 'A')
    await expect(send(here, machine.vm, url, {})).rejects.toMatchObject(isRefused)
    await expect(send(here, machine.vm, url, { fingerprint: wrong })).rejects.toMatchObject(
      isRefused,
    )
    await expect(send(trusting, second.vm, byAddress, {})).rejects.toMatchObject(isRefused)
    await expect(
      send(here, machine.vm, url, { fingerprint, verify: 'false' }),
    ).rejects.toMatchObject({ code: 'INVALID_VALUE', params: ['verify', 'false'] })
    await expect(send(here, machine.vm, url, { fingerprint: 'abc' })).rejects.toMatchObject({
      code: 'INVALID_VALUE',
    })
    expect(await thereSide.rpc('VM.get_all')).toEqual([])
    for (const [from, vm, to, options] of [
      [trusting, second.vm, url, {}],
      [here, machine.vm, url, { fingerprint }],
      [here, machine.vm, byAddress, { fingerprint: fingerprint.toLowerCase().replaceAll(':', '') }],
      [here, machine.vm, byAddress, { verify: 'false' }],
    ] as const) {
      await send(from, vm, to, options)
    }
    expect(await thereSide.rpc<string[]>('VM.get_all')).toHaveLength(4)
  })
})
