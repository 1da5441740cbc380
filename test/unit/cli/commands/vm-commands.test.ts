// xe's commands of VMs, their disks, interfaces and snapshots, on the real calls of XenAPI.

import { describe, expect, onTestFinished, test } from 'vitest'
import type { Wire } from '../../../../src/xenapi/wire/values.ts'
import { ROOT_PASSWORD } from '../../../support/catalogs.ts'
import { serveCli } from '../../../support/cli-client.ts'
import { createTestApi, createVdi } from '../../../support/xenapi.ts'

const start = async () => {
  const api = await createTestApi()
  onTestFinished(() => api.storage.upkeep.settled())
  const server = await serveCli((method, params, signal) =>
    api.dispatcher.call({ method, params: params as readonly Wire[] }, signal),
  )
  const login = ['username=root', `password=${ROOT_PASSWORD}`]
  const open = (...args: string[]) => server.open(...args, ...login)
  const xe = async (...args: string[]) => (await open(...args)).shown()
  const ask = async (...args: string[]): Promise<string> => {
    const { out, err, code } = await xe(...args)
    expect({ args, err, code }).toEqual({ args, err: '', code: 0 })
    return out.trim()
  }
  const vm = await ask('vm-create', 'name-label=web')
  const addDisk = (device: string) =>
    ask('vm-disk-add', `uuid=${vm}`, `device=${device}`, 'disk-size=1MiB', `sr-uuid=${api.srUuid}`)
  return { ...api, open, xe, ask, vm, addDisk }
}

const count = (text: string): number => text.split(',').filter((part) => part !== '').length

describe('lists', () => {
  test('vm-list shows uuid, name and power state, and no templates or snapshots', async () => {
    const { ask, vm } = await start()
    expect(await ask('vm-list')).toBe(
      [
        `uuid ( RO)           : ${vm}`,
        '     name-label ( RW): web',
        '    power-state ( RO): halted',
      ].join('\n'),
    )
    const snapshot = await ask('vm-snapshot', `uuid=${vm}`, 'new-name-label=before')
    expect(await ask('vm-list', 'power-state=halted', '--minimal')).toBe(vm)
    expect(await ask('snapshot-list', '--minimal')).toBe(snapshot)
    expect(await ask('template-list', '--minimal')).toBe('')
    await ask('vm-param-set', `uuid=${vm}`, 'is-a-template=true')
    expect(await ask('template-list', '--minimal')).toBe(vm)
    expect(await ask('vm-list', '--minimal')).toBe('')
  })

  test.each(['vm', 'vbd', 'vif', 'network', 'pif'])(
    '%s: params=all and param-list',
    async (name) => {
      const { ask, vm, addDisk } = await start()
      await addDisk('0')
      const network = await ask('network-list', '--minimal')
      await ask('vif-create', `vm-uuid=${vm}`, `network-uuid=${network}`, 'device=0', 'mac=random')
      const uuid = await ask(`${name}-list`, '--minimal')
      const all = await ask(`${name}-list`, 'params=all')
      expect(await ask(`${name}-param-list`, `uuid=${uuid}`)).toBe(all)
      expect(all).not.toMatch(/undefined|\[object|OpaqueRef/)
    },
  )

  test('vbd-list, vif-list and pif-list show the fields of XenServer', async () => {
    const { ask, vm, addDisk } = await start()
    await addDisk('0')
    const network = await ask('network-list', '--minimal')
    await ask('vif-create', `vm-uuid=${vm}`, `network-uuid=${network}`, 'device=0', 'mac=random')
    const labels = async (name: string) =>
      (await ask(`${name}-list`)).match(/[A-Za-z-]+(?= \( R[OW]\))/g)
    expect(await labels('vbd')).toEqual([
      'uuid',
      'vm-uuid',
      'vm-name-label',
      'vdi-uuid',
      'empty',
      'device',
    ])
    expect(await labels('vif')).toEqual(['uuid', 'vm-uuid', 'device', 'network-uuid'])
    expect(await labels('pif')).toEqual([
      'uuid',
      'device',
      'currently-attached',
      'VLAN',
      'network-uuid',
    ])
  })
})

describe('what is changed', () => {
  test.each([
    ['memory-static-max=1GiB', 'memory-static-max', '1073741824'],
    ['actions-after-crash=coredump_and_restart', 'actions-after-crash', 'coredump_and_restart'],
    ['domain-type=pvh', 'domain-type', 'pvh'],
    ['VCPUs-max=4', 'VCPUs-max', '4'],
    ['platform:acpi=1', 'platform', 'acpi: 1'],
    ['HVM-shadow-multiplier=2', 'HVM-shadow-multiplier', '2'],
  ])('vm-param-set %s', async (change, name, shown) => {
    const { ask, vm } = await start()
    await ask('vm-param-set', `uuid=${vm}`, change)
    expect(await ask('vm-param-get', `uuid=${vm}`, `param-name=${name}`)).toBe(shown)
  })

  test('a size that is none is refused', async () => {
    const { xe, vm } = await start()
    expect(await xe('vm-param-set', `uuid=${vm}`, 'memory-static-max=much')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^Error: Failed to parse field 'memory-static-max': /) as string,
    })
  })

  test('vbd-create, vbd-param-set and vbd-destroy; the VDI stays', async () => {
    const { api, ask, vm, xe } = await start().then(async (on) => ({ ...on, api: on }))
    const vdi = (await createVdi(api)).replace('OpaqueRef:', '')
    const disk = [`vm-uuid=${vm}`, `vdi-uuid=${vdi}`]
    const vbd = await ask('vbd-create', ...disk, 'device=3', 'mode=ro', 'bootable=true')
    const get = (name: string) => ask('vbd-param-get', `uuid=${vbd}`, `param-name=${name}`)
    expect([await get('mode'), await get('type'), await get('userdevice')]).toEqual([
      'RO',
      'Disk',
      '3',
    ])
    await ask('vbd-param-set', `uuid=${vbd}`, 'mode=RW')
    expect(await get('mode')).toBe('RW')
    expect(await xe('vbd-create', ...disk, 'device=3')).toMatchObject({
      code: 1,
      err: 'The VM has a device 3 already\ndevice: 3\n',
    })
    expect(await xe('vbd-create', ...disk, 'device=4', 'mode=wo')).toMatchObject({
      err: 'Error: Unknown mode: wo (should be "ro" or "rw")\n',
    })
    const drive = await ask('vbd-create', `vm-uuid=${vm}`, 'device=5', 'type=cd', 'mode=ro')
    expect(await ask('vbd-list', `uuid=${drive}`, 'params=vdi-name-label', '--minimal')).toBe(
      '<EMPTY>',
    )
    await ask('vbd-destroy', `uuid=${vbd}`)
    await ask('vbd-destroy', `uuid=${drive}`)
    expect(await ask('vbd-list', '--minimal')).toBe('')
    expect(await ask('vdi-list', '--minimal')).toBe(vdi)
  })

  test('vif-create takes a MAC or makes one; vif-destroy', async () => {
    const { ask, vm } = await start()
    const network = await ask('network-list', '--minimal')
    const to = [`vm-uuid=${vm}`, `network-uuid=${network}`]
    const vif = await ask('vif-create', ...to, 'device=0', 'mac=02:00:00:00:00:0A')
    expect(await ask('vif-param-get', `uuid=${vif}`, 'param-name=MAC')).toBe('02:00:00:00:00:0a')
    expect(await ask('vif-list', 'MAC=02:00:00:00:00:0A', '--minimal')).toBe(vif)
    const made = await ask('vif-create', ...to, 'device=autodetect', 'mac=random')
    expect(await ask('vif-param-get', `uuid=${made}`, 'param-name=MAC-autogenerated')).toBe('true')
    await ask('vif-destroy', `uuid=${vif}`)
    expect(await ask('vif-list', '--minimal')).toBe(made)
  })
})

describe('VM selectors', () => {
  test.each([
    ['vm=nobody', 'Error: No matching VMs found\n'],
    ['colour=red', "Error: Unknown field 'colour'\n"],
  ])('%s', async (selector, err) => {
    const { xe } = await start()
    const snapshot = ['vm-snapshot', 'new-name-label=s', selector]
    expect(await xe(...snapshot)).toEqual({ out: '', err, code: 1 })
  })

  test('vm= is a uuid or a name; several need --multiple, and vm-copy takes one only', async () => {
    const { ask, xe, vm } = await start()
    await ask('vm-clone', `vm=${vm}`, 'new-name-label=web')
    const both = ['vm=web', 'new-name-label=c']
    expect(await xe('vm-clone', ...both)).toMatchObject({
      code: 1,
      err: 'Error: Multiple matches VMs found. --multiple required to complete the operation\n',
    })
    expect(await xe('vm-copy', ...both, '--multiple')).toMatchObject({
      code: 1,
      err: 'Error: Multiple matches VMs found. Operation can only be performed on one VM at a time\n',
    })
    expect((await ask('vm-clone', ...both, '--multiple')).split('\n')).toHaveLength(2)
    expect(count(await ask('vm-list', '--minimal'))).toBe(4)
  })
})

describe('disks', () => {
  test('vm-disk-list shows each VBD with its VDI', async () => {
    const { ask, vm, addDisk } = await start()
    await addDisk('1')
    await addDisk('0')
    const names = (await ask('vm-disk-list', `uuid=${vm}`)).match(/^Disk .*|\S+(?= \( R[OW]\))/gm)
    const one = ['uuid', 'vm-name-label', 'userdevice']
    const other = ['uuid', 'name-label', 'sr-name-label', 'virtual-size']
    const disks = ['Disk 0', 'Disk 1'].flatMap((disk) => [
      ...[`${disk} VBD:`].concat(one),
      ...[`${disk} VDI:`].concat(other),
    ])
    expect(names).toEqual(disks)
    const devices = ['vbd-params=userdevice', 'vdi-params=none', '--minimal']
    expect(await ask('vm-disk-list', 'vm=web', ...devices)).toBe('0,1')
  })

  test('vm-disk-add leaves no VDI where the device is taken; vm-disk-remove takes the VDI', async () => {
    const { ask, xe, vm, addDisk, srUuid } = await start()
    await addDisk('0')
    const again = ['device=0', 'disk-size=1MiB', `sr-uuid=${srUuid}`]
    expect(await xe('vm-disk-add', `uuid=${vm}`, ...again)).toMatchObject({ code: 1 })
    expect(count(await ask('vdi-list', '--minimal'))).toBe(1)
    await ask('vm-disk-remove', `uuid=${vm}`, 'device=0')
    expect(await ask('vdi-list', '--minimal')).toBe('')
    expect(await ask('vbd-list', '--minimal')).toBe('')
  })
})

describe('copies and snapshots', () => {
  test('vm-clone and vm-copy print the new VM; its disks are its own', async () => {
    const { ask, vm, addDisk, srUuid } = await start()
    await addDisk('0')
    const names = ['new-name-label=c', 'new-name-description=d']
    const clone = await ask('vm-clone', `uuid=${vm}`, ...names)
    const copy = await ask('vm-copy', `uuid=${vm}`, ...names, `sr-uuid=${srUuid}`)
    for (const made of [clone, copy]) {
      expect(await ask('vm-param-get', `uuid=${made}`, 'param-name=name-description')).toBe('d')
    }
    expect(count(await ask('vdi-list', '--minimal'))).toBe(3)
    const listed = (await ask('vm-list', 'name-label=c', '--minimal')).split(',')
    expect(listed.toSorted()).toEqual([clone, copy].toSorted())
  })

  test('snapshot-revert brings back a disk, snapshot-destroy keeps the disks of the snapshot', async () => {
    const { ask, xe, vm, addDisk } = await start()
    await addDisk('0')
    const snapshot = await ask('vm-snapshot', `uuid=${vm}`, 'new-name-label=before')
    await ask('vm-disk-remove', `uuid=${vm}`, 'device=0')
    expect(await ask('vm-disk-list', `uuid=${vm}`)).toBe('')
    await ask('snapshot-revert', `snapshot-uuid=${snapshot}`)
    expect(await ask('vm-disk-list', `uuid=${vm}`)).toContain('Disk 0 VDI:')
    expect(await xe('snapshot-revert', `uuid=${vm}`)).toMatchObject({
      code: 1,
      err: `Error: The VM ${vm} is not a snapshot\n`,
    })
    expect(await xe('snapshot-revert')).toMatchObject({
      err: "Required parameter not found: uuid\nFor usage run: 'xe help'\n",
    })
    const before = count(await ask('vdi-list', '--minimal'))
    await ask('snapshot-destroy', `uuid=${snapshot}`)
    expect(count(await ask('vdi-list', '--minimal'))).toBe(before)
    expect(await ask('snapshot-list', '--minimal')).toBe('')
  })
})

describe('vm-uninstall', () => {
  test('--force: the VM, its snapshots and the disks that they own', async () => {
    const on = await start()
    const { ask, vm, addDisk } = on
    await addDisk('0')
    const kept = (await createVdi(on)).replace('OpaqueRef:', '')
    await ask('vbd-create', `vm-uuid=${vm}`, `vdi-uuid=${kept}`, 'device=1')
    const shown = await ask('vm-uninstall', 'vm=web', '--force')
    const lines = shown.split('\n')
    expect(lines[0]).toBe('The following items are about to be destroyed')
    expect(lines[1]).toBe(`VM : ${vm} (web)`)
    expect(lines[2]).toMatch(/^VDI: \S+ \(web 0\) $/)
    expect(lines.slice(3)).toEqual(['All objects destroyed'])
    expect(await ask('vm-list', '--minimal')).toBe('')
    expect(await ask('vdi-list', '--minimal')).toBe(kept)
  })

  test('the snapshots go along', async () => {
    const { ask, vm, addDisk } = await start()
    await addDisk('0')
    await ask('vm-snapshot', `uuid=${vm}`, 'new-name-label=before')
    await ask('vm-uninstall', `uuid=${vm}`, '--force')
    expect(await ask('snapshot-list', '--minimal')).toBe('')
    expect(await ask('vdi-list', '--minimal')).toBe('')
  })

  test('a disk that another VM has, too, is marked', async () => {
    const { ask, vm, addDisk } = await start()
    await addDisk('0')
    const shared = await ask('vdi-list', '--minimal')
    const other = await ask('vm-create', 'name-label=other')
    await ask('vbd-create', `vm-uuid=${other}`, `vdi-uuid=${shared}`, 'device=0')
    const shown = await ask('vm-uninstall', `uuid=${vm}`, '--force')
    expect(shown).toContain(`${shared} (web 0)  ** WARNING: disk is shared by other VMs\n`)
    expect(await ask('vm-list', '--minimal')).toBe(other)
  })

  test('a VM that cannot be destroyed is named and keeps its disks, another goes', async () => {
    const { ask, xe, vm, addDisk } = await start()
    await addDisk('0')
    const disk = await ask('vdi-list', '--minimal')
    await ask('vm-clone', `uuid=${vm}`, 'new-name-label=other')
    await ask('vm-param-set', `uuid=${vm}`, 'blocked-operations:destroy=kept by a test')
    const all = ['power-state=halted', '--multiple']
    const { out, err, code } = await xe('vm-uninstall', ...all, '--force')
    expect(code).toBe(1)
    expect(out).not.toContain('All objects destroyed')
    expect(err).toMatch(/^Error: Some objects were not destroyed:\nVM : \S+ \(web\): .*blocked/)
    expect(await ask('vm-list', '--minimal')).toBe(vm)
    expect(await ask('vdi-list', '--minimal')).toBe(disk)
  })

  test.each([
    ['yes', '', 'All objects destroyed'],
    [' YES ', '', 'All objects destroyed'],
    ['no', 'web', "Aborted (you typed: 'no')"],
    ['', 'web', "Aborted (you typed: '')"],
  ])('asks, and the user types %j', async (typed, left, last) => {
    const { ask, open, vm } = await start()
    const client = await open('vm-uninstall', `uuid=${vm}`)
    const texts: string[] = []
    for (;;) {
      const message = await client.receive()
      if (message.kind === 'prompt') break
      if (message.kind === 'print') texts.push(message.text)
    }
    expect(texts.at(-1)).toBe("Type 'yes' to continue")
    client.send({ kind: 'chunk', length: typed.length })
    client.socket.write(typed)
    client.send({ kind: 'end' })
    expect(await client.shown()).toEqual({ out: `${last}\n`, err: '', code: 0 })
    expect(await ask('vm-list', 'params=name-label', '--minimal')).toBe(left)
  })

  test('a client that sends a line of 5000 bytes, or one that nobody asked for, is cut off', async () => {
    const { ask, open, vm } = await start()
    const client = await open('vm-uninstall', `uuid=${vm}`)
    while ((await client.receive()).kind !== 'prompt');
    client.send({ kind: 'chunk', length: 5000 })
    await expect(client.finish()).rejects.toThrow('The connection ended')
    expect(await ask('vm-list', '--minimal')).toBe(vm)
  })

  test('template-uninstall and snapshot-uninstall', async () => {
    const { ask, xe, vm, addDisk } = await start()
    await addDisk('0')
    const snapshot = await ask('vm-snapshot', `uuid=${vm}`, 'new-name-label=before')
    await ask('snapshot-uninstall', `snapshot-uuid=${snapshot}`, '--force')
    expect(count(await ask('vdi-list', '--minimal'))).toBe(1)
    expect(await xe('template-uninstall', `template-uuid=${vm}`, '--force')).toMatchObject({
      code: 1,
      err: `Error: The VM ${vm} is not a template\n`,
    })
    await ask('vm-param-set', `uuid=${vm}`, 'is-a-template=true')
    await ask('template-uninstall', `template-uuid=${vm}`, '--force')
    expect(await ask('vdi-list', '--minimal')).toBe('')
  })
})
