// VMs as a person works with them on the command line: made, given disks, snapshotted, reverted,
// copied, moved to another server, and thrown away.

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { rootPassword, startServer, type TestServer } from '../support/server.ts'
import { createRawSource, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import { download } from '../support/transfer.ts'
import { createXe } from '../support/xe-program.ts'

const size = 25 << 20

const lines = (text: string): string[] => text.split(/[\n,]/).filter((line) => line !== '')

const start = async () => {
  const server = await startServer()
  const { xe, ask } = createXe(server)
  const vm = await ask('vm-create', 'name-label=web1', 'memory-static-max=1GiB', 'platform:acpi=1')
  return { server, xe, ask, vm }
}

/** A disk of the VM with some content; the uuid of its VDI. */
const addDisk = async (
  { ask }: ReturnType<typeof createXe>,
  seed: number,
  ...more: readonly string[]
): Promise<string> => {
  const disk = ['vm=web1', `disk-size=${size}`, 'device=autodetect', ...more]
  const vdi = await ask('vm-disk-add', ...disk)
  const raw = await createRawSource(await createTestFolder(), 'a.raw', { size, seed })
  await ask('vdi-import', `uuid=${vdi}`, `filename=${raw}`, 'format=raw')
  return vdi
}

const contentOf = async (server: TestServer, vdi: string): Promise<readonly [string, 'qcow2']> => [
  (await download(server, vdi, 'qcow2')).bodyFile,
  'qcow2',
]

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('xe', () => {
  test('makes VMs, lists them and changes their fields', async () => {
    const { ask, xe, vm } = await start()
    expect(await ask('vm-list')).toBe(
      `uuid ( RO)           : ${vm}\n     name-label ( RW): web1\n    power-state ( RO): halted`,
    )
    const get = (name: string, ...more: string[]) =>
      ask('vm-param-get', `uuid=${vm}`, `param-name=${name}`, ...more)
    expect(await get('memory-static-max')).toBe(String(2 ** 30))
    expect(await get('platform', 'param-key=acpi')).toBe('1')
    await ask('vm-param-set', `uuid=${vm}`, 'name-description=a server', 'other-config:a=b')
    await ask('vm-param-add', `uuid=${vm}`, 'param-name=tags', 'param-key=green')
    expect(await get('name-description')).toBe('a server')
    expect(await get('tags')).toBe('green')
    await ask('vm-param-set', `uuid=${vm}`, 'is-a-template=true')
    expect(await ask('vm-list', '--minimal')).toBe('')
    expect(await ask('template-list', '--minimal')).toBe(vm)
    await ask('vm-param-set', `uuid=${vm}`, 'is-a-template=false')
    const { code, err } = await xe('vm-clone', 'vm=nobody', 'new-name-label=x')
    expect([code, err]).toEqual([1, expect.stringContaining('No matching VMs found')])
    await ask('vm-create', 'name-label=web1')
    const many = await xe('vm-clone', 'name-label=web1', 'new-name-label=x')
    expect([many.code, many.err]).toEqual([1, expect.stringContaining('Multiple matches')])
    const unnamed = await xe('vm-uninstall', '--force')
    expect([unnamed.code, unnamed.err]).toEqual([1, expect.stringContaining('No VM is named')])
  })

  test('gives a VM disks, drives and interfaces, and takes them', async () => {
    const { ask, xe, vm } = await start()
    const disk = await addDisk({ ask, xe }, 1, 'sm-config:image-format=vhd')
    const other = await ask('vm-disk-add', `uuid=${vm}`, 'disk-size=1MiB', 'device=7')
    expect(await ask('vdi-param-get', `uuid=${disk}`, 'param-name=sm-config')).toBe(
      'image-format: vhd',
    )
    const list = await ask('vm-disk-list', 'vm=web1')
    expect(list).toMatch(/^Disk 0 VBD:\nuuid/)
    expect(list).toContain(disk)
    expect(list).toMatch(/userdevice \( RW\): 7/)
    const drive = await ask('vbd-create', `vm-uuid=${vm}`, 'device=3')
    expect(await ask('vbd-list', `uuid=${drive}`, 'params=empty,type,mode')).toBe(
      'empty ( RO)    : true\n     mode ( RW): RO\n     type ( RW): CD',
    )
    await ask('vbd-destroy', `uuid=${drive}`)
    const network = await ask('network-list', '--minimal')
    const device = [`vm-uuid=${vm}`, `network-uuid=${network}`, 'device=0']
    const vif = await ask('vif-create', ...device, 'mac=02:00:00:00:00:0A')
    expect(await ask('vif-param-get', `uuid=${vif}`, 'param-name=MAC')).toBe('02:00:00:00:00:0a')
    const again = await xe('vif-create', ...device)
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('has a device 0 already')])
    await ask('vif-destroy', `uuid=${vif}`)
    const [pif] = lines(await ask('pif-list', 'management=true', '--minimal'))
    expect(await ask('pif-param-get', `uuid=${pif}`, 'param-name=network-uuid')).toBe(network)
    await ask('vm-disk-remove', `uuid=${vm}`, 'device=7')
    expect(await ask('vdi-list', '--minimal')).toBe(disk)
    expect((await xe('vdi-list', `uuid=${other}`, '--minimal')).out).toBe('\n')
  })

  test('takes a snapshot, goes back to it, clones and copies', async () => {
    const { server, ask, xe, vm } = await start()
    const disk = await addDisk({ ask, xe }, 1)
    const before = await contentOf(server, disk)
    const snapshot = await ask('vm-snapshot', 'vm=web1', 'new-name-label=monday')
    expect(await ask('snapshot-list', '--minimal')).toBe(snapshot)
    const raw = await createRawSource(await createTestFolder(), 'b.raw', { size, seed: 2 })
    await ask('vdi-import', `uuid=${disk}`, `filename=${raw}`, 'format=raw')
    const clone = await ask('vm-clone', 'vm=web1', 'new-name-label=twin', 'new-name-description=d')
    const [sr] = lines(await ask('sr-list', '--minimal'))
    const copy = await ask('vm-copy', `uuid=${vm}`, 'new-name-label=far', `sr-uuid=${sr}`)
    expect(lines(await ask('vm-list', '--minimal')).toSorted()).toEqual(
      [vm, clone, copy].toSorted(),
    )
    await ask('snapshot-revert', `snapshot-uuid=${snapshot}`)
    const diskOf = async (uuid: string): Promise<string> =>
      ask('vbd-list', `vm-uuid=${uuid}`, 'params=vdi-uuid', '--minimal')
    await expectSameGuest(await contentOf(server, await diskOf(vm)), before)
    for (const other of [clone, copy]) {
      await expectSameGuest(await contentOf(server, await diskOf(other)), [raw, 'raw'])
    }
    const twin = await diskOf(clone)
    // Nobody answers.
    const asked = await xe('vm-uninstall', `uuid=${clone}`)
    expect([asked.code, asked.out]).toEqual([0, expect.stringContaining("Aborted (you typed: '')")])
    expect(await ask('vm-list', `uuid=${clone}`, '--minimal')).toBe(clone)
    expect(await ask('vm-uninstall', `uuid=${clone}`, '--force')).toContain('All objects destroyed')
    expect(lines(await ask('vdi-list', '--minimal'))).not.toContain(twin)
    await ask('snapshot-uninstall', `uuid=${snapshot}`, 'force=true')
    expect(await ask('snapshot-list', '--minimal')).toBe('')
    await ask('vm-destroy', `uuid=${copy}`)
    expect(await ask('vm-list', '--minimal')).toBe(vm)
  })

  test('moves a VM to another server, each disk in the format that was asked for', async () => {
    const { server, ask, xe, vm } = await start()
    const there = await startServer()
    const far = createXe(there)
    const first = await addDisk({ ask, xe }, 1)
    const second = await addDisk({ ask, xe }, 2)
    await ask('vm-snapshot', 'vm=web1', 'new-name-label=monday')
    const contents = [await contentOf(server, first), await contentOf(server, second)]
    const master = `remote-master=${there.host}:${there.port}`
    const login = ['remote-username=root', `remote-password=${rootPassword}`, 'plain=true']
    const formats = [`image-format:${first}=vhd`, `image_format:${second}=raw`]
    const copied = await xe('vm-migrate', 'vm=web1', master, ...login, ...formats, 'copy=true')
    expect(copied.code).toBe(0)
    expect(await far.ask('vm-list', '--minimal')).toBe(copied.out.trim())
    await far.ask('vm-uninstall', `uuid=${copied.out.trim()}`, '--force')

    const [sr] = lines(await far.ask('sr-list', '--minimal'))
    const to = [`vdi:${first}=${sr}`, ...formats]
    const { code, out, err } = await xe(
      'vm-migrate',
      'vm=web1',
      master,
      ...login,
      ...to,
      '--progress',
    )
    expect([code, out]).toEqual([0, ''])
    expect(err).toContain(`Will migrate to remote host: `)
    expect(err).toContain(`VDI ${first} -> SR ${sr}\n`)
    expect(err.match(/Total time/g)).toHaveLength(1)
    expect(await ask('vm-list', '--minimal')).toBe('')
    expect(await ask('vdi-list', '--minimal')).toBe('')
    expect(await far.ask('vm-list', '--minimal')).toBe(vm)
    const disks = await far.ask('vbd-list', `vm-uuid=${vm}`, 'params=vdi-uuid', '--minimal')
    const moved = lines(disks)
    const formatsThere = []
    for (const [index, vdi] of moved.entries()) {
      await expectSameGuest(contents[index]!, await contentOf(there, vdi))
      formatsThere.push(await far.ask('vdi-param-get', `uuid=${vdi}`, 'param-name=sm-config'))
    }
    expect(formatsThere).toEqual(['image-format: vhd', 'image-format: raw'])
  })

  test('says what is wrong with a move before anything is made', async () => {
    const { ask, xe, vm } = await start()
    const there = await startServer()
    const disk = await addDisk({ ask, xe }, 1)
    const master = `remote-master=http://${there.host}:${there.port}`
    const login = ['remote-username=root', `remote-password=${rootPassword}`]
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [[`image-format:${disk}=vmdk`], /Image format vmdk is not supported by [0-9a-f-]{36}/],
      [['remote-network=none'], /no network none/],
      [['host=none'], /no host none/],
      [[`vdi:${disk}=${vm}`], /uuid you supplied was invalid/],
      [['kopy=true'], /Unknown field 'kopy'/],
    ]
    for (const [more, expected] of cases) {
      const { code, err } = await xe('vm-migrate', `uuid=${vm}`, master, ...login, ...more)
      expect([code, err]).toEqual([1, expect.stringMatching(expected)])
    }
    const half = await xe('vm-migrate', `uuid=${vm}`, master)
    expect(half.err).toContain('needs all of remote-master, remote-username and remote-password')
    const none = await xe('vm-migrate', `uuid=${vm}`, 'host=here')
    expect(none.err).toContain('no other host in this pool')
    const denied = ['remote-username=root', 'remote-password=wrong']
    const wrong = await xe('vm-migrate', `uuid=${vm}`, master, ...denied)
    expect([wrong.code, wrong.err]).toEqual([
      1,
      expect.stringMatching(/The server \S+ refuses the user/),
    ])
    const nowhere = ['remote-master=http://127.0.0.1:1', ...login]
    const gone = await xe('vm-migrate', `uuid=${vm}`, ...nowhere)
    expect([gone.code, gone.err]).toEqual([1, expect.stringContaining('127.0.0.1:1 broke')])
    expect(await createXe(there).ask('vdi-list', '--minimal')).toBe('')
  })

  test('takes VMs out as OVA and in again', async () => {
    const { server, xe, ask } = await start()
    const vdi = await addDisk({ xe, ask }, 5)
    const file = join(await createTestFolder(), 'web1.ova')
    await ask('vm-export', 'vm=web1', `filename=${file}`)
    const [sr] = lines(await ask('sr-list', '--minimal'))
    const uuid = await ask('vm-import', `filename=${file}`, `sr-uuid=${sr}`)
    expect(await ask('vm-param-get', `uuid=${uuid}`, 'param-name=name-label')).toBe('web1')
    const [copy] = lines(await ask('vbd-list', `vm-uuid=${uuid}`, 'params=vdi-uuid', '--minimal'))
    await expectSameGuest(await contentOf(server, vdi), await contentOf(server, copy!))
    const both = await xe('vm-export', 'vm=web1', `filename=${file}2`)
    expect([both.code, both.err]).toEqual([1, expect.stringContaining('Multiple matches')])
    for (const [args, message] of [
      [['vm-export', `uuid=${uuid}`, `filename=${file}3`, 'metadata=true'], 'is for XVA'],
      [['vm-export', `uuid=${uuid}`, `filename=${file}4`, 'format=xva'], 'say format=ova'],
      [
        ['vm-import', `filename=${await createRawSource(await createTestFolder(), 'x', { size })}`],
        'no archive that is known',
      ],
    ] as const) {
      const { code, err } = await xe(...args)
      expect([code, err]).toEqual([1, expect.stringContaining(message)])
    }
  })
})
