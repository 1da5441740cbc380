// VMs that go out as OVA, by curl: of exact length, resumed, read by other programs, and the same
// when they come back.

import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { expectSameBytes } from '../support/disks.ts'
import { login, type Rpc } from '../support/json-rpc.ts'
import { createMachine, uuidOf, writeParts } from '../support/machines.ts'
import { shareServer } from '../support/server.ts'
import { expectSameGuest } from '../support/sources.ts'
import { createTestFolder, run } from '../support/tools.ts'
import { asRoot, download, expectStatus } from '../support/transfer.ts'

const MiB = 1 << 20
const server = await shareServer()

type Fields = Record<string, unknown>

const exportUrl = (query: Readonly<Record<string, string>>): string =>
  `${server.url}/export?${new URLSearchParams(query).toString()}`

const specs = [
  {
    format: 'qcow2',
    size: 40 * MiB + 512,
    parts: [
      [MiB, 3 * MiB],
      [36 * MiB, MiB],
    ],
  },
  { format: 'raw', size: 8 * MiB, parts: [[0, 512]] },
  { format: 'vhd', size: 4 * MiB, parts: [] },
] as const

const make = async (rpc: Rpc, name: string) => {
  const machine = await createMachine(server, rpc, specs, name)
  await rpc('VM.set_VCPUs_max', machine.vm, '4')
  return machine
}

describe('an exported VM', () => {
  test('is an archive of exact length, which other programs read', async () => {
    const rpc = await login(server)
    const { vm, vdis } = await make(rpc, 'web <1> & "co"')
    await rpc('VM.set_name_description', vm, 'Serves\npages')
    const url = exportUrl({ uuid: uuidOf(vm), format: 'ova' })
    const head = await curl(...asRoot, '-I', url)
    await expectStatus(head, 200)
    expect(head.headers.get('accept-ranges')).toBe('bytes')
    expect(head.headers.get('content-disposition')).toBe('attachment; filename="web-1-co-.ova"')
    const answer = await curl(...asRoot, url)
    await expectStatus(answer, 200)
    expect((await stat(answer.bodyFile)).size).toBe(Number(head.headers.get('content-length')))
    const folder = await createTestFolder()
    await run('tar', ['-xf', answer.bodyFile, '-C', folder])
    const { stdout } = await run('tar', ['-tf', answer.bodyFile])
    const names = ['web-1-co-.ovf', ...[1, 2, 3].map((number) => `web-1-co--disk${number}.vmdk`)]
    expect(stdout.trim().split('\n')).toEqual(names)
    await run('xmllint', ['--noout', join(folder, names[0]!)])
    for (const [index, vdi] of vdis.entries()) {
      const { bodyFile } = await download(server, uuidOf(vdi), 'raw')
      const image = join(folder, names[index + 1]!)
      await run('qemu-img', ['check', '-f', 'vmdk', image])
      await run('qemu-img', ['compare', '-f', 'vmdk', '-F', 'raw', image, bodyFile])
    }
  })

  test('is resumed with the same bytes, until it changes', async () => {
    const rpc = await login(server)
    const { vm, vdis } = await make(rpc, 'resumed')
    const url = exportUrl({ ref: vm, format: 'ova' })
    const whole = await curl(...asRoot, url)
    const bytes = await readFile(whole.bodyFile)
    const file = join(await createTestFolder(), 'part.ova')
    await writeFile(file, bytes.subarray(0, 1_234_567))
    await curl(...asRoot, '-C', '-', '-o', file, url)
    expectSameBytes(await readFile(file), bytes)
    for (const offset of [0, 511, 70_000, bytes.length - 1500]) {
      const part = await curl(...asRoot, '-r', `${offset}-${offset + 999}`, url)
      expectSameBytes(await readFile(part.bodyFile), bytes.subarray(offset, offset + 1000))
    }
    const etag = whole.headers.get('etag')!
    expect(etag).toMatch(/^"/)
    const same = await curl(...asRoot, '-H', `If-None-Match: ${etag}`, url)
    expect(same.status).toBe(304)
    await rpc('VM.set_name_description', vm, 'other')
    const renamed = await curl(...asRoot, '-I', url)
    expect(renamed.headers.get('etag')).not.toBe(etag)
    await writeParts(server, vdis[0]!, { size: specs[0].size, parts: [[0, 4096]] }, 9)
    const changed = await curl(...asRoot, '-I', url)
    expect(changed.headers.get('etag')).not.toBe(renamed.headers.get('etag'))
  })

  test('comes back as it was', async () => {
    const rpc = await login(server)
    const { vm, vdis } = await make(rpc, 'there and back')
    await rpc('VM.set_HVM_boot_params', vm, { firmware: 'uefi' })
    const names = ['boot', '', 'data']
    for (const [index, vdi] of vdis.entries()) await rpc('VDI.set_name_label', vdi, names[index])
    const answer = await curl(...asRoot, exportUrl({ uuid: uuidOf(vm), format: 'ova' }))
    const back = await curl(...asRoot, '-T', answer.bodyFile, `${server.url}/import`)
    await expectStatus(back, 200)
    const again = await rpc<Fields>('VM.get_record', `OpaqueRef:${(await back.text()).trim()}`)
    expect(again).toMatchObject({
      name_label: 'there and back',
      VCPUs_max: 1,
      HVM_boot_params: { firmware: 'uefi' },
      VIFs: [expect.any(String)],
    })
    const came = back.headers.get('vdi-uuid')!.split(', ')
    for (const [index, uuid] of came.entries()) {
      const record = await rpc<Fields>('VDI.get_record', `OpaqueRef:${uuid}`)
      expect(record['name_label']).toBe(['boot', 'Disk 2', 'data'][index])
      const before = await download(server, uuidOf(vdis[index]!), 'qcow2')
      const { bodyFile } = await download(server, uuid, 'qcow2')
      await expectSameGuest([before.bodyFile, 'qcow2'], [bodyFile, 'qcow2'])
    }
  })

  test('may be compressed on the way, and named by a task', async () => {
    const rpc = await login(server)
    const { vm } = await make(rpc, 'small')
    const task = await rpc<string>('task.create', 'export', '')
    const query = { uuid: uuidOf(vm), format: 'ova', negotiate: 'true', task_id: task }
    const answer = await curl(...asRoot, '--compressed', exportUrl(query))
    await expectStatus(answer, 200)
    const plain = await curl(...asRoot, exportUrl({ uuid: uuidOf(vm), format: 'ova' }))
    expectSameBytes(await readFile(answer.bodyFile), await readFile(plain.bodyFile))
    expect(answer.headers.get('content-encoding')).toBeDefined()
    expect(await rpc('task.get_status', task)).toBe('success')
  })

  test('of 9 GiB has its size in the header of its entry', async () => {
    const rpc = await login(server)
    const [sr] = await rpc<string[]>('SR.get_all')
    const { vm } = await createMachine(server, rpc, [specs[1]], 'large')
    const record = {
      SR: sr,
      virtual_size: 9 * 2 ** 30,
      type: 'user',
      sharable: false,
      read_only: false,
    }
    const vdi = await rpc<string>('VDI.create', { ...record, name_label: 'large' })
    await rpc('VBD.create', { VM: vm, VDI: vdi, userdevice: '5', mode: 'RW', type: 'Disk' })
    const answer = await curl(...asRoot, exportUrl({ uuid: uuidOf(vm), format: 'ova' }))
    await expectStatus(answer, 200)
    expect((await stat(answer.bodyFile)).size).toBeLessThan(MiB)
    await run('tar', ['-tf', answer.bodyFile])
  })
})

describe('an export is refused', () => {
  test.each([
    [{ format: 'ova' }, 400, 'The parameter ref is missing'],
    [{ uuid: '00000000-0000-4000-8000-000000000000', format: 'ova' }, 404, 'HANDLE_INVALID'],
    [{ uuid: 'x' }, 400, 'say format=ova'],
    [{ uuid: 'x', format: 'ova', use_compression: 'true' }, 400, 'say negotiate=true'],
  ] as const)('%j', async (query, status, message) => {
    const answer = await curl(...asRoot, exportUrl(query))
    expect(await answer.text()).toContain(message)
    expect(answer.status).toBe(status)
  })
})
