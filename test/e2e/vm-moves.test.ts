// VMs go from one real server to another and back: whole, with their snapshots, each disk in the
// format that was asked for, or not at all.

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { callWith, createVdi, login, type Rpc, type TaskRecord } from '../support/json-rpc.ts'
import { listLayers } from '../support/layers.ts'
import {
  createMachine,
  expectSameImages,
  imagesOf,
  receive,
  uuidOf,
  writeParts,
} from '../support/machines.ts'
import { runPython } from '../support/python.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { expectCleanImage } from '../support/sources.ts'
import { hasTool } from '../support/tools.ts'
import { asRoot, exportUrl, importUrl } from '../support/transfer.ts'
import { eventually } from '../support/wait.ts'
import { createXenApi } from '../support/xen-api.ts'

const MiB = 1 << 20
const TiB = 2 ** 40

const disks = [
  { format: 'raw', size: 16 * MiB, parts: [[MiB, 3 * MiB]] },
  { format: 'vhd', size: 24 * MiB, parts: [[4 * MiB, 5 * MiB]] },
  { format: 'qcow2', size: TiB, parts: [[TiB - 2 * MiB, MiB]] },
] as const

interface Side {
  readonly server: TestServer
  readonly rpc: Rpc
}

const connect = async (server: TestServer): Promise<Side> => ({ server, rpc: await login(server) })

const startPair = async (): Promise<readonly [Side, Side]> => [
  await connect(await startServer()),
  await connect(await startServer()),
]

/** A VM with two snapshots, and changes of the disks between them. */
const createOld = async ({ server, rpc }: Side) => {
  const machine = await createMachine(server, rpc, disks)
  await rpc('VM.snapshot', machine.vm, 'first')
  await writeParts(server, machine.vdis[0]!, { ...disks[0], parts: [[6 * MiB, MiB]] }, 7)
  await writeParts(server, machine.vdis[1]!, { ...disks[1], parts: [[20 * MiB, MiB]] }, 8)
  await rpc('VM.snapshot', machine.vm, 'second')
  await writeParts(server, machine.vdis[2]!, { ...disks[2], parts: [[TiB / 2, 2 * MiB]] }, 9)
  return machine
}

const move = async (
  from: Side,
  to: Side,
  vm: string,
  { formats = {}, options = {}, srs = {} }: Partial<Record<string, Record<string, string>>> = {},
): Promise<string> =>
  from.rpc<string>('VM.migrate_send', vm, await receive(to), true, srs, {}, options, {}, formats)

const expectNothingLeft = async ({ server, rpc }: Side): Promise<void> => {
  expect(await rpc('VM.get_all')).toEqual([])
  expect(await rpc('VDI.get_all')).toEqual([])
  expect(await rpc('VBD.get_all')).toEqual([])
  await eventually('no layer is left', async () =>
    (await listLayers(server.dataFolder)).length === 0 ? true : undefined,
  )
}

const expectCleanLayers = async ({ server }: Side): Promise<void> => {
  for (const layer of await listLayers(server.dataFolder)) {
    const format = layer.slice(layer.lastIndexOf('.') + 1) as 'raw' | 'vhd' | 'qcow2'
    await expectCleanImage(join(server.dataFolder, layer), format)
  }
}

const formatsOf = async ({ rpc }: Side, vm: string): Promise<string[]> => {
  const { VBDs } = await rpc<{ VBDs: string[] }>('VM.get_record', vm)
  const formats = []
  for (const vbd of VBDs) {
    const vdi = await rpc<string>('VBD.get_VDI', vbd)
    formats.push(
      (await rpc<Record<string, string>>('VDI.get_sm_config', vdi))['image-format'] ?? '',
    )
  }
  return formats
}

/** How many bytes the delta of a disk over its snapshot takes on the way, for each disk. */
const deltaSizes = async ({ server, rpc }: Side, vm: string): Promise<number[]> => {
  const { VBDs } = await rpc<{ VBDs: string[] }>('VM.get_record', vm)
  const sizes = []
  for (const vbd of VBDs) {
    const vdi = await rpc<string>('VBD.get_VDI', vbd)
    const snapshots = await rpc<string[]>('VDI.get_snapshots', vdi)
    for (const base of snapshots) {
      const url = exportUrl(server, uuidOf(vdi), 'qcow2', { base: uuidOf(base) })
      const { headers } = await curl(...asRoot, '-I', url)
      sizes.push(Number(headers.get('content-length')))
    }
  }
  return sizes
}

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('a VM', () => {
  test('goes to another server and back, with other formats each time', async () => {
    const [here, there] = await startPair()
    const { vm, vdis } = await createOld(here)
    const images = await imagesOf(here.server, here.rpc, vm)
    const before = await deltaSizes(here, vm)
    const record = await here.rpc<Record<string, unknown>>('VM.get_record', vm)
    const formats = Object.fromEntries(
      vdis.map((vdi, index) => [vdi, ['qcow2', 'raw', 'qcow2'][index]!]),
    )
    expect(await move(here, there, vm, { formats })).toBe(vm)
    await expectNothingLeft(here)
    await expectSameImages(images, await imagesOf(there.server, there.rpc, vm))
    expect(await formatsOf(there, vm)).toEqual(['qcow2', 'raw', 'qcow2'])
    expect(await deltaSizes(there, vm)).toEqual(before)
    await expectCleanLayers(there)
    const moved = await there.rpc<Record<string, unknown>>('VM.get_record', vm)
    const own = { VBDs: [], VIFs: [] }
    expect({ ...moved, ...own }).toEqual({ ...record, ...own })

    await move(there, here, vm)
    await expectNothingLeft(there)
    await expectSameImages(images, await imagesOf(here.server, here.rpc, vm))
    expect(await deltaSizes(here, vm)).toEqual(before)
    await expectCleanLayers(here)
  })

  test('keeps what is said of its disks and interfaces', async () => {
    const [here, there] = await startPair()
    const { vm, vdis } = await createMachine(here.server, here.rpc, [disks[0]])
    const vdi = vdis[0]!
    await here.rpc('VDI.add_to_other_config', vdi, 'key', 'value')
    await here.rpc('VDI.set_read_only', vdi, true)
    const snapshot = await here.rpc<string>('VM.snapshot', vm, 'first')
    await here.rpc('VM.add_to_other_config', vm, 'mine', 'kept')
    await here.rpc('VM.set_memory_static_max', vm, '4096')
    await here.rpc('VBD.create', {
      VM: vm,
      VDI: '',
      empty: true,
      type: 'CD',
      mode: 'RO',
      userdevice: '3',
    })
    await move(here, there, vm)
    const { rpc } = there
    const record = await rpc<Record<string, unknown>>('VM.get_record', vm)
    expect(record).toMatchObject({
      name_label: 'machine',
      memory_static_max: 4096,
      snapshots: [snapshot],
      parent: snapshot,
    })
    expect(record['other_config']).toMatchObject({ mine: 'kept' })
    const [disk, drive] = record['VBDs'] as string[]
    expect(await rpc('VBD.get_record', disk)).toMatchObject({ bootable: true, userdevice: '0' })
    expect(await rpc('VBD.get_record', drive)).toMatchObject({ empty: true, type: 'CD' })
    const moved = await rpc<string>('VBD.get_VDI', disk)
    expect(moved).not.toBe(vdi)
    expect(await rpc('VDI.get_record', moved)).toMatchObject({
      name_label: 'machine 0',
      other_config: { key: 'value' },
      read_only: true,
      tags: ['kept'],
      is_a_snapshot: false,
    })
    const [kept] = await rpc<string[]>('VDI.get_snapshots', moved)
    expect(await rpc('VDI.get_record', kept)).toMatchObject({
      is_a_snapshot: true,
      VBDs: [expect.any(String)],
    })
    const [vif] = record['VIFs'] as string[]
    const [network] = await rpc<string[]>('network.get_all')
    expect(await rpc('VIF.get_record', vif)).toMatchObject({ MAC: '02:00:00:00:00:01', network })
  })

  test('is copied: it stays, and the copy is another VM', async () => {
    const [here, there] = await startPair()
    const { vm } = await createOld(here)
    const images = await imagesOf(here.server, here.rpc, vm)
    const options = { copy: 'true' }
    const copy = await move(here, there, vm, { options })
    const second = await move(here, there, vm, { options })
    expect(new Set([vm, copy, second]).size).toBe(3)
    await expectSameImages(images, await imagesOf(here.server, here.rpc, vm))
    await expectSameImages(images, await imagesOf(there.server, there.rpc, copy))
    await expectSameImages(images, await imagesOf(there.server, there.rpc, second))
    const macs = await there.rpc<Record<string, { MAC: string; VM: string }>>('VIF.get_all_records')
    const own = Object.values(macs).filter(({ VM }) => VM === copy || VM === second)
    expect(new Set(['02:00:00:00:00:01', ...own.map(({ MAC }) => MAC)]).size).toBe(3)
    expect(await here.rpc('VM.get_current_operations', vm)).toEqual({})
  })

  test('that is cancelled stays, and nothing of it is there', async () => {
    const [here, there] = await startPair()
    const large = { format: 'qcow2', size: 512 * MiB, parts: [[0, 256 * MiB]] } as const
    const { vm } = await createMachine(here.server, here.rpc, [disks[0], large])
    const dest = await receive(there)
    const task = await here.rpc<string>('Async.VM.migrate_send', vm, dest, true, {}, {}, {})
    await eventually('some of it to be sent', async () =>
      (await here.rpc<number>('task.get_progress', task)) > 0.05 ? true : undefined,
    )
    expect(await here.rpc('VM.get_current_operations', vm)).toEqual({ [task]: 'migrate_send' })
    await expect(here.rpc('VM.destroy', vm)).rejects.toMatchObject({
      code: 'OTHER_OPERATION_IN_PROGRESS',
    })
    await expect(here.rpc('VM.set_name_label', vm, 'x')).rejects.toMatchObject({
      code: 'OTHER_OPERATION_IN_PROGRESS',
    })
    expect(await there.rpc('VDI.get_all')).toEqual([])
    await here.rpc('task.cancel', task)
    const { status } = await eventually('the task to end', async () => {
      const record = await here.rpc<TaskRecord>('task.get_record', task)
      return record.status === 'pending' || record.status === 'cancelling' ? undefined : record
    })
    expect(status).toBe('cancelled')
    await expectNothingLeft(there)
    expect(await here.rpc('VM.get_current_operations', vm)).toEqual({})
    await here.rpc('VM.set_name_label', vm, 'free again')
  })

  test('moves inside one server, each disk into the format that was asked for', async () => {
    const here = await connect(await startServer())
    const { vm, vdis } = await createOld(here)
    const images = await imagesOf(here.server, here.rpc, vm)
    const formats = { [vdis[0]!]: 'vhd', [vdis[1]!]: 'vhd' }
    expect(await move(here, here, vm, { formats })).toBe(vm)
    expect(await formatsOf(here, vm)).toEqual(['vhd', 'vhd', 'qcow2'])
    await expectSameImages(images, await imagesOf(here.server, here.rpc, vm))
    await expectCleanLayers(here)
    await expect(move(here, here, vm, { options: { copy: 'true' } })).rejects.toMatchObject({
      code: 'OPERATION_NOT_ALLOWED',
    })
  })
})

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))(
  'clients that know XenAPI move a VM',
  () => {
    test('xen-api', async () => {
      const [here, there] = await startPair()
      const { vm } = await createOld(here)
      const images = await imagesOf(here.server, here.rpc, vm)
      const [source, target] = [createXenApi(here.server), createXenApi(there.server)]
      await Promise.all([source.connect(), target.connect()])
      const [host] = await target.call<string[]>('host.get_all')
      const [pif] = Object.values(
        await target.call<Record<string, { network: string; management: boolean }>>(
          'PIF.get_all_records',
        ),
      ).filter(({ management }) => management)
      const dest = await target.call<object>('host.migrate_receive', host, pif!.network, {})
      const [sr] = await target.call<string[]>('SR.get_all')
      const vdis = await source.call<string[]>('VDI.get_all')
      const vdiMap = Object.fromEntries(vdis.map((vdi) => [vdi, sr]))
      const params = [vm, dest, true, vdiMap, {}, { force: 'true' }] as const
      await source.call('VM.assert_can_migrate', ...params)
      // As Orchestra calls it: without the last two.
      const moved = await source.callAsync<string>('VM.migrate_send', ...params)
      expect(moved.replaceAll(/<[^>]*>/g, '')).toBe(vm)
      await expectSameImages(images, await imagesOf(there.server, there.rpc, vm))
      await expectNothingLeft(here)
      await Promise.all([source.disconnect(), target.disconnect()])
    })

    test.skipIf(!hasTool('python3'))("Python's XML-RPC", async () => {
      const [here, there] = await startPair()
      const { vm } = await createMachine(here.server, here.rpc, [disks[1]])
      const out = await runPython<{
        moved: string
        records: Record<string, { sm_config: object }>
      }>(
        here.server,
        `
there = xmlrpc.client.ServerProxy('${there.server.url}/')
far = there.session.login_with_password('root', password)['Value']
host = there.host.get_all(far)['Value'][0]
network = there.network.get_all(far)['Value'][0]
dest = there.host.migrate_receive(far, host, network, {})['Value']
vm = '${vm}'
vdi = ask('VBD.get_VDI', session, ask('VM.get_VBDs', session, vm)[0])
args = [session, vm, dest, False, {}, {}, {}, {}, {vdi: 'qcow2'}]
ask('VM.assert_can_migrate', *args)
out['moved'] = ask('VM.migrate_send', *args)
out['records'] = there.VDI.get_all_records(far)['Value']
`,
      )
      expect(out.moved).toBe(vm)
      expect(Object.values(out.records)).toMatchObject([{ sm_config: { 'image-format': 'qcow2' } }])
    })
  },
)

test('a VM without disks, and one whose disks were never written, move too', async () => {
  const [here, there] = await startPair()
  const bare = await here.rpc<string>('VM.create', { name_label: 'bare' })
  expect(await move(here, there, bare)).toBe(bare)
  const vm = await here.rpc<string>('VM.create', { name_label: 'empty' })
  const { ref: vdi } = await createVdi(here.rpc, 4 * TiB, {
    sm_config: { 'image-format': 'qcow2' },
  })
  await here.rpc('VBD.create', { VM: vm, VDI: vdi, userdevice: '0' })
  await here.rpc('VM.snapshot', vm, 's')
  expect(await move(here, there, vm)).toBe(vm)
  const sizes = Object.values(
    await there.rpc<Record<string, { virtual_size: number }>>('VDI.get_all_records'),
  ).map(({ virtual_size: size }) => size)
  expect(sizes).toEqual([4 * TiB, 4 * TiB])
  expect(new Set(await there.rpc<string[]>('VM.get_by_name_label', 'bare'))).toEqual(
    new Set([bare]),
  )
  await expectNothingLeft(here)
})

test('a server tells others the URL that its administrator says', async () => {
  const url = 'https://diskport.example:8443'
  const server = await startServer({ args: ['--advertise', url] })
  const dest = await receive({ rpc: await login(server) })
  expect(dest['master']).toBe(`${url}/`)
  expect(dest['SM']).toMatch(/^https:\/\/diskport\.example:8443\/services\/SM\?session_id=/)
})

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('the session of a move', () => {
  test('brings that VM, sees nothing else, and ends with it', async () => {
    const [here, there] = await startPair()
    const { vm, vdis } = await createMachine(there.server, there.rpc, [disks[0]])
    const { session_id: secret, master, host, SM, xenops } = await receive(here)
    expect(master).toBe(`${here.server.url}/`)
    expect([SM, xenops]).toEqual([
      `${here.server.url}/services/SM?session_id=${secret}`,
      `${here.server.url}/services/xenops?session_id=${secret}`,
    ])
    expect(await here.rpc('host.get_uuid', host)).toBe(uuidOf(host!))
    const ask = (method: string, ...params: unknown[]) =>
      callWith(here.server, method, [secret, ...params])
    for (const method of ['VDI.get_all', 'VM.get_all', 'SR.get_all_records', 'session.logout']) {
      await expect(ask(method)).rejects.toMatchObject({ code: 'RBAC_PERMISSION_DENIED' })
    }
    await expect(here.rpc('incoming_move.commit', [])).rejects.toMatchObject({
      code: 'RBAC_PERMISSION_DENIED',
    })
    await expect(ask('incoming_move.commit', [])).rejects.toMatchObject({
      code: 'OPERATION_NOT_ALLOWED',
    })
    const [sr] = await here.rpc<string[]>('SR.get_all')
    const refused = [
      await curl(
        '-T',
        '/dev/null',
        importUrl(here.server, { session_id: secret!, sr_uuid: uuidOf(sr!) }),
      ),
      await curl(exportUrl(here.server, uuidOf(vdis[0]!), 'raw', { session_id: secret! })),
    ]
    expect(refused.map(({ status }) => status)).toEqual([403, 403])
    const { secret: attempt } = (await ask('incoming_move.begin')) as { secret: string }
    const task = await here.rpc<string>('task.create', 'of the user', '')
    const withTask = { session_id: attempt, vdi: uuidOf(sr!), task_id: task }
    expect((await curl('-T', '/dev/null', importUrl(here.server, withTask))).status).toBe(403)
    expect(await here.rpc('task.get_status', task)).toBe('pending')
    await expect(here.rpc('VM.destroy', attempt)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
    expect(here.server.output()).not.toContain(uuidOf(attempt))
    const dest = { session_id: secret!, master: master!, host: host! }
    await there.rpc('VM.migrate_send', vm, dest, true, {}, {}, {})
    await expect(ask('incoming_move.commit', [])).rejects.toMatchObject({ code: 'SESSION_INVALID' })
    expect(await callWith(here.server, 'incoming_move.get_outcome', [secret])).toEqual({
      state: 'unknown',
      vmUuid: null,
    })
  })
})
