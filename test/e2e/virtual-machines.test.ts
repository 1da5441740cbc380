// VMs as records, with the clients that know them: made, attached, snapshotted at one point in
// time, reverted, cloned, copied, destroyed; and what watchers are told.

import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { createVdi, login, type Rpc, type TaskRecord } from '../support/json-rpc.ts'
import { listLayers, listStaging } from '../support/layers.ts'
import {
  createMachine,
  expectSameImages,
  imagesOf,
  uuidOf,
  writeParts,
} from '../support/machines.ts'
import { runPython } from '../support/python.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import { asRoot, exportUrl } from '../support/transfer.ts'
import { createXenApi } from '../support/xen-api.ts'
import { eventually, within } from '../support/wait.ts'

const MiB = 1 << 20

const small = { format: 'qcow2', size: 8 * MiB, parts: [[MiB, MiB]] } as const
const large = { format: 'qcow2', size: 512 * MiB, parts: [[0, 256 * MiB]] } as const

type Fields = Record<string, unknown>

const start = async (): Promise<{ server: TestServer; rpc: Rpc }> => {
  const server = await startServer()
  return { server, rpc: await login(server) }
}

const recordOf = (rpc: Rpc, className: string, ref: string): Promise<Fields> =>
  rpc<Fields>(`${className}.get_record`, ref)

/** The seed of the pattern at the beginning of a disk. */
const generationOf = async (server: TestServer, vdi: string): Promise<number> => {
  const { bodyFile } = await curl(...asRoot, '-r', '0-7', exportUrl(server, uuidOf(vdi), 'raw'))
  return (await readFile(bodyFile))[7]!
}

/** The VDIs of a VM's disks, in the order of their positions. */
const disksOf = async (rpc: Rpc, vm: string): Promise<string[]> => {
  const { VBDs } = await recordOf(rpc, 'VM', vm)
  return Promise.all((VBDs as string[]).map((vbd) => rpc<string>('VBD.get_VDI', vbd)))
}

const createReader = async (server: TestServer, rpc: Rpc): Promise<Rpc> => {
  const user = await rpc<string>('user.create', { short_name: 'reader', password: 'reader-pw' })
  await rpc('user.set_role', user, 'read-only')
  return login(server, 'reader', 'reader-pw')
}

const addSr = async (rpc: Rpc): Promise<string> => {
  const [host] = await rpc<string[]>('host.get_all')
  const config = { location: await createTestFolder() }
  return rpc<string>('SR.create', host, config, '0', 'other', '', 'file', '', false, {})
}

describe.skipIf(!hasTool('python3'))("Python's XML-RPC", () => {
  test('makes a VM of the record of another, which is equal but for what is its own', async () => {
    const server = await startServer()
    const out = await runPython<{ before: Fields; after: Fields; vbds: Fields; network: Fields }>(
      server,
      `
network = ask('network.get_all', session)[0]
vm = ask('VM.create', session, {
    'name_label': 'web1', 'name_description': 'x', 'user_version': '1', 'is_a_template': False,
    'memory_static_max': str(2 << 30), 'memory_dynamic_max': str(2 << 30), 'memory_dynamic_min': '0',
    'memory_static_min': '0', 'VCPUs_params': {'weight': '256'}, 'VCPUs_max': '4', 'VCPUs_at_startup': '2',
    'actions_after_shutdown': 'destroy', 'actions_after_reboot': 'restart', 'actions_after_crash': 'preserve',
    'PV_bootloader': '', 'PV_kernel': '', 'PV_ramdisk': '', 'PV_args': '', 'PV_bootloader_args': '',
    'PV_legacy_args': '', 'HVM_boot_policy': 'BIOS order', 'HVM_boot_params': {'order': 'cd'},
    'platform': {'acpi': '1'}, 'PCI_bus': '', 'other_config': {'a': 'b'}, 'recommendations': '<r/>',
    'HVM_shadow_multiplier': 1.5, 'tags': ['t'], 'affinity': 'OpaqueRef:NULL', 'ha_always_run': False})
sr = ask('SR.get_all', session)[0]
vdi = ask('VDI.create', session, {'SR': sr, 'virtual_size': '1048576', 'name_label': 'd'})
vbd = ask('VBD.create', session, {
    'VM': vm, 'VDI': vdi, 'userdevice': '0', 'bootable': True, 'mode': 'RW', 'type': 'Disk',
    'unpluggable': True, 'empty': False, 'other_config': {}, 'qos_algorithm_type': '',
    'qos_algorithm_params': {}})
vif = ask('VIF.create', session, {
    'device': '0', 'network': network, 'VM': vm, 'MAC': '', 'MTU': '1500', 'other_config': {},
    'qos_algorithm_type': '', 'qos_algorithm_params': {}})
out['before'] = ask('VM.get_record', session, vm)
out['after'] = ask('VM.get_record', session, ask('VM.create', session, out['before']))
out['vbds'] = ask('VBD.get_all_records', session)
out['network'] = ask('network.get_record', session, network)
`,
    )
    const own = { uuid: '', VBDs: [], VIFs: [] }
    expect({ ...out.after, ...own }).toEqual({ ...out.before, ...own })
    expect(out.before).toMatchObject({
      name_label: 'web1',
      power_state: 'Halted',
      VCPUs_max: '4',
      HVM_shadow_multiplier: 1.5,
      actions_after_crash: 'preserve',
      domain_type: 'hvm',
      tags: ['t'],
    })
    expect(out.before['VBDs']).toEqual(Object.keys(out.vbds))
    expect(out.after['VBDs']).toEqual([])
    expect(out.network['VIFs']).toEqual(out.before['VIFs'])
  })
})

describe('a VM', () => {
  test('names disks, which go and stay as in XenServer', async () => {
    const { rpc } = await start()
    const vm = await rpc<string>('VM.create', { name_label: 'a' })
    const [first, second] = [await createVdi(rpc, MiB), await createVdi(rpc, MiB)]
    const vbd = { VM: vm, userdevice: 'autodetect' }
    const one = await rpc<string>('VBD.create', { ...vbd, VDI: first.ref })
    const two = await rpc<string>('VBD.create', { ...vbd, VDI: second.ref })
    expect(await rpc('VBD.get_userdevice', two)).toBe('1')
    expect(await rpc('VDI.get_VBDs', first.ref)).toEqual([one])
    // No VM runs here, so nothing uses the disk.
    await rpc('VDI.destroy', first.ref)
    expect(await rpc('VM.get_VBDs', vm)).toEqual([two])
    await rpc('VM.destroy', vm)
    expect(await rpc('VBD.get_all')).toEqual([])
    expect(await rpc('VDI.get_VBDs', second.ref)).toEqual([])
  })

  test('keeps its VBDs while disks move, and loses those of what is forgotten', async () => {
    const { server, rpc } = await start()
    const { vm, vdis } = await createMachine(server, rpc, [small, small])
    const vbds = await rpc<string[]>('VM.get_VBDs', vm)
    const sr = await addSr(rpc)
    await rpc('VDI.pool_migrate', vdis[0], sr, {})
    expect(await rpc('VM.get_VBDs', vm)).toEqual(vbds)
    await rpc('VDI.forget', vdis[1])
    expect(await rpc('VM.get_VBDs', vm)).toEqual(vbds.slice(0, 1))
    await rpc('SR.forget', sr)
    expect(await rpc('VM.get_VBDs', vm)).toEqual([])
  })

  test('never runs: each call that would need it says so', async () => {
    const { rpc } = await start()
    const vm = await rpc<string>('VM.create', { name_label: 'a' })
    const [host] = await rpc<string[]>('host.get_all')
    const halted = (expected: string) => ({
      code: 'VM_BAD_POWER_STATE',
      params: [vm, expected, 'halted'],
    })
    const refused = { code: 'OPERATION_NOT_ALLOWED' }
    const cases = [
      ['start', [false, false], refused],
      ['start_on', [host, false, false], refused],
      ['resume', [false, false], halted('suspended')],
      ['resume_on', [host, false, false], halted('suspended')],
      ['pause', [], halted('running')],
      ['unpause', [], halted('paused')],
      ['suspend', [], halted('running')],
      ['clean_shutdown', [], halted('running')],
      ['shutdown', [], halted('running')],
      ['hard_shutdown', [], halted('running')],
      ['clean_reboot', [], halted('running')],
      ['hard_reboot', [], halted('running')],
      ['checkpoint', ['x'], refused],
      ['snapshot_with_quiesce', ['x'], { code: 'VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED' }],
    ] as const
    for (const [name, params, expected] of cases) {
      await expect(rpc(`VM.${name}`, vm, ...params)).rejects.toMatchObject(expected)
    }
    const drive = { VM: vm, VDI: '', empty: true, type: 'CD', mode: 'RO', userdevice: '0' }
    const cd = await rpc<string>('VBD.create', drive)
    const { ref: vdi } = await createVdi(rpc, MiB)
    const disk = await rpc<string>('VBD.create', { VM: vm, VDI: vdi, userdevice: '1' })
    for (const [name, params, code] of [
      ['insert', [cd, vdi], 'OPERATION_NOT_ALLOWED'],
      ['insert', [disk, vdi], 'VBD_NOT_REMOVABLE_MEDIA'],
      ['eject', [cd], 'VBD_IS_EMPTY'],
      ['eject', [disk], 'VBD_NOT_REMOVABLE_MEDIA'],
      ['plug', [disk], 'VM_BAD_POWER_STATE'],
      ['unplug', [disk], 'VM_BAD_POWER_STATE'],
    ] as const) {
      await expect(rpc(`VBD.${name}`, ...params)).rejects.toMatchObject({ code })
    }
    for (const [row, code] of [
      [{ ...drive, mode: 'RW', userdevice: '2' }, 'VBD_CDS_MUST_BE_READONLY'],
      [{ ...drive, type: 'Disk', userdevice: '2' }, 'VBD_NOT_REMOVABLE_MEDIA'],
      [{ ...drive, userdevice: '0' }, 'DEVICE_ALREADY_EXISTS'],
      [{ ...drive, userdevice: 'sda1' }, 'INVALID_DEVICE'],
      [{ ...drive, VM: vdi }, 'HANDLE_INVALID'],
    ] as const) {
      await expect(rpc('VBD.create', row)).rejects.toMatchObject({ code })
    }
  })

  test('is changed by those who may', async () => {
    const { server, rpc } = await start()
    const reader = await createReader(server, rpc)
    const vm = await rpc<string>('VM.create', { name_label: 'a' })
    expect(await reader('VM.get_name_label', vm)).toBe('a')
    for (const [name, ...params] of [
      ['VM.set_name_label', vm, 'b'],
      ['VM.destroy', vm],
      ['VM.snapshot', vm, 's'],
      ['VM.migrate_send', vm, {}, true, {}, {}, {}],
    ] as const) {
      await expect(reader(name, ...params)).rejects.toMatchObject({
        code: 'RBAC_PERMISSION_DENIED',
      })
    }
    await rpc('VM.set_is_a_template', vm, true)
    expect(await rpc('VM.get_allowed_operations', vm)).toContain('provision')
    await rpc('VM.provision', vm)
    await rpc('VM.set_is_a_template', vm, false)
    await expect(rpc('VM.set_memory_static_max', vm, 'much')).rejects.toMatchObject({
      code: 'FIELD_TYPE_ERROR',
    })
    await expect(rpc('VM.set_actions_after_crash', vm, 'dance')).rejects.toMatchObject({
      code: 'INVALID_VALUE',
    })
    expect(await rpc('VM.get_by_name_label', 'a')).toEqual([vm])
  })
})

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('a VM with content', () => {
  test('is snapshotted at one point in time, whatever is written meanwhile', async () => {
    const { server, rpc } = await start()
    const { vm, vdis } = await createMachine(server, rpc, [small, small])
    const [first, second] = vdis as [string, string]
    let isOver = false
    // The first disk is always one write ahead of the second, or equal.
    const writing = (async () => {
      for (let generation = 1; !isOver; generation += 1) {
        await writeParts(server, first, { size: small.size, parts: [[0, 512]] }, generation)
        await writeParts(server, second, { size: small.size, parts: [[0, 512]] }, generation)
      }
    })()
    const snapshots: string[] = []
    for (let round = 0; round < 12; round += 1) {
      snapshots.push(await rpc<string>('VM.snapshot', vm, `s${round}`))
      await new Promise((resolve) => setTimeout(resolve, 40))
    }
    isOver = true
    await writing
    let last = 0
    for (const snapshot of snapshots) {
      const disks = await disksOf(rpc, snapshot)
      const [ahead, behind] = await Promise.all(disks.map((vdi) => generationOf(server, vdi)))
      expect([behind!, behind! + 1]).toContain(ahead)
      expect(behind).toBeGreaterThanOrEqual(last)
      last = behind!
    }
    // Otherwise nothing was written in between.
    expect(last).toBeGreaterThan(1)
    expect(new Set(await rpc<string[]>('VM.get_snapshots', vm))).toEqual(new Set(snapshots))
    const parents = await Promise.all(snapshots.map((ref) => rpc<string>('VM.get_parent', ref)))
    expect(parents).toEqual(['OpaqueRef:NULL', ...snapshots.slice(0, -1)])
  })

  test('goes back to a snapshot: fields, disks and interfaces', async () => {
    const { server, rpc } = await start()
    const { vm, vdis } = await createMachine(server, rpc, [small, small])
    const before = await imagesOf(server, rpc, vm)
    const snapshot = await rpc<string>('VM.snapshot', vm, 'then')
    const snapshotDisks = await disksOf(rpc, snapshot)
    await rpc('VM.set_name_label', vm, 'renamed')
    await rpc('VM.set_memory_static_max', vm, '77')
    await writeParts(server, vdis[0]!, { size: small.size, parts: [[4 * MiB, MiB]] }, 9)
    const { ref: later } = await createVdi(rpc, MiB)
    await rpc('VBD.create', { VM: vm, VDI: later, userdevice: '5' })
    for (const vif of await rpc<string[]>('VM.get_VIFs', vm)) await rpc('VIF.destroy', vif)

    await rpc('VM.revert', snapshot)
    expect(await recordOf(rpc, 'VM', vm)).toMatchObject({
      name_label: 'machine',
      memory_static_max: 1024,
      parent: snapshot,
      snapshots: [snapshot],
    })
    const disks = await disksOf(rpc, vm)
    expect(disks).toHaveLength(2)
    const after = await imagesOf(server, rpc, vm)
    const own = ([name]: readonly [string, string]): boolean => name.startsWith('machine')
    await expectSameImages(new Map([...before].filter(own)), new Map([...after].filter(own)))
    // The disks that were replaced have gone; one that came later stays, apart from the VM.
    const all = await rpc<string[]>('VDI.get_all')
    expect(all.toSorted()).toEqual([...disks, ...snapshotDisks, later].toSorted())
    for (const [index, disk] of snapshotDisks.entries()) {
      expect(await rpc('VDI.get_snapshot_of', disk)).toBe(disks[index])
    }
    const [vif] = await rpc<string[]>('VM.get_VIFs', vm)
    expect(await rpc('VIF.get_MAC', vif)).toBe('02:00:00:00:00:01')
    await expect(rpc('VM.revert', vm)).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' })
    // A VM that has gone is made again.
    await rpc('VM.destroy', vm)
    await rpc('VM.revert', snapshot)
    expect(await rpc('VM.get_name_label', vm)).toBe('machine')
  })

  test('is cloned for nothing and copied whole, in the format of the place', async () => {
    const { server, rpc } = await start()
    const { vm } = await createMachine(server, rpc, [{ ...small, format: 'vhd' }, small])
    const before = await imagesOf(server, rpc, vm)
    const layers = await listLayers(server.dataFolder)
    const clone = await rpc<string>('VM.clone', vm, 'machine')
    expect(await listLayers(server.dataFolder)).toEqual(layers)
    const sr = await addSr(rpc)
    const copy = await rpc<string>('VM.copy', vm, 'machine', sr)
    for (const made of [clone, copy]) {
      await expectSameImages(before, await imagesOf(server, rpc, made))
      const [vif] = await rpc<string[]>('VM.get_VIFs', made)
      expect(await rpc('VIF.get_MAC', vif)).not.toBe('02:00:00:00:00:01')
      const vbds = (await recordOf(rpc, 'VM', made))['VBDs'] as string[]
      for (const vbd of vbds) {
        expect(await rpc('VBD.get_other_config', vbd)).toHaveProperty('owner')
      }
    }
    for (const vdi of await disksOf(rpc, copy)) expect(await rpc('VDI.get_SR', vdi)).toBe(sr)
  })

  test('a copy that is cancelled, or whose server is killed, leaves nothing', async () => {
    const { server, rpc } = await start()
    const { vm } = await createMachine(server, rpc, [small, large])
    const before = await rpc<string[]>('VDI.get_all')
    const sr = await addSr(rpc)
    const begin = async (): Promise<string> => {
      const task = await rpc<string>('Async.VM.copy', vm, 'copy', sr)
      await eventually('some of it to be copied', async () =>
        (await rpc<number>('task.get_progress', task)) > 0.05 ? true : undefined,
      )
      return task
    }
    const task = await begin()
    await rpc('task.cancel', task)
    const { status } = await eventually('the task to end', async () => {
      const record = await rpc<TaskRecord>('task.get_record', task)
      return ['pending', 'cancelling'].includes(record.status) ? undefined : record
    })
    expect(status).toBe('cancelled')
    expect(await rpc('VM.get_all')).toEqual([vm])
    expect(await rpc('VDI.get_all')).toEqual(before)

    await begin()
    await server.kill()
    const again = await startServer({ dataFolder: server.dataFolder })
    const after = await login(again)
    expect(await after('VM.get_all')).toEqual([vm])
    expect(await after('VDI.get_all')).toEqual(before)
    expect(await listStaging(server.dataFolder)).toEqual([])
    expect(await after<string>('SR.get_physical_utilisation', sr)).toEqual(0)
  })
})

describe('xen-api', () => {
  test('keeps VMs and their devices fresh by events', async () => {
    const server = await startServer()
    const xapi = createXenApi(server)
    await within(
      'the records',
      (async () => {
        await xapi.connect()
        await xapi.objectsFetched
      })(),
    )
    const vm = await xapi.call<string>('VM.create', { name_label: 'a' })
    const [sr] = await xapi.call<string[]>('SR.get_all')
    const vdi = await xapi.call<string>('VDI.create', { SR: sr, virtual_size: 1 << 20 })
    const vbd = await xapi.call<string>('VBD.create', { VM: vm, VDI: vdi, userdevice: '0' })
    expect((await xapi.barrier(vm))['VBDs']).toEqual([vbd])
    expect((await xapi.barrier(vdi))['VBDs']).toEqual([vbd])
    const snapshot = await xapi.callAsync<string>('VM.snapshot', vm, 's')
    const ref = `OpaqueRef:${uuidOf(snapshot).replaceAll(/<[^>]*>/g, '')}`
    expect((await xapi.barrier(vm))['snapshots']).toEqual([ref])
    expect((await xapi.barrier(vm))['parent']).toBe(ref)
    expect((await xapi.barrier(ref))['children']).toEqual([vm])
    await xapi.call('VBD.destroy', vbd)
    expect((await xapi.barrier(vdi))['VBDs']).toEqual([])
    await xapi.call('VM.destroy', ref)
    expect((await xapi.barrier(vm))['parent']).toBe('OpaqueRef:NULL')
    const types = Object.values(xapi.objects.all).map(({ $type }) => $type)
    expect(types).toEqual(expect.arrayContaining(['VM', 'network', 'PIF']))
  })
})
