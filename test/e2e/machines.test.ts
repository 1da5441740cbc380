// Archives of machines, uploaded with curl: an OVA or an XVA becomes VMs with their disks, or
// nothing at all.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { manifestOf, nullRef, ovfOf, tarOf, xvaObjects, xvaOf } from '../support/archives.ts'
import { curl, type CurlResult } from '../support/curl.ts'
import { login, type Rpc } from '../support/json-rpc.ts'
import { createDisks, ovf, textEntry } from '../support/machine-archives.ts'
import { uuidOf } from '../support/machines.ts'
import { shareServer, type TestServer } from '../support/server.ts'
import { createRawSource, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, run } from '../support/tools.ts'
import { asRoot, download, expectStatus } from '../support/transfer.ts'

const MiB = 1 << 20
const server = await shareServer()

type Fields = Record<string, unknown>

const importUrl = (query: Readonly<Record<string, string>> = {}, path = '/import'): string =>
  `${server.url}${path}?${new URLSearchParams(query).toString()}`

const upload = async (bytes: Uint8Array, url: string, ...args: string[]): Promise<CurlResult> => {
  const file = join(await createTestFolder(), 'machine')
  await writeFile(file, bytes)
  return curl(...asRoot, '-T', file, ...args, url)
}

const recordOf = async (rpc: Rpc, className: string, uuid: string): Promise<Fields> =>
  rpc<Fields>(`${className}.get_record`, await rpc(`${className}.get_by_uuid`, uuid))

/** Of the disks of a VM, in the order of their positions. */
const vdisOf = async (rpc: Rpc, { VBDs }: Fields): Promise<string[]> => {
  const records = await Promise.all(
    (VBDs as string[]).map((vbd) => rpc<Fields>('VBD.get_record', vbd)),
  )
  return records
    .filter(({ type }) => type === 'Disk')
    .toSorted((a, b) => Number(a['userdevice']) - Number(b['userdevice']))
    .map(({ VDI }) => uuidOf(String(VDI)))
}

const expectDisks = async (on: TestServer, vdis: readonly string[], raws: readonly string[]) => {
  expect(vdis).toHaveLength(raws.length)
  for (const [index, vdi] of vdis.entries()) {
    const { bodyFile } = await download(on, vdi, 'qcow2')
    await expectSameGuest([raws[index]!, 'raw'], [bodyFile, 'qcow2'])
  }
}

describe('an OVA', () => {
  test('becomes a VM with one VDI a disk, in the order and by the names of the OVF', async () => {
    const rpc = await login(server)
    const { raws, images } = await createDisks(await createTestFolder())
    const manifest = textEntry('web.mf', manifestOf([ovf, ...images]))
    // The disks in another order than in the OVF.
    const answer = await upload(tarOf(ovf, images[1], images[0], manifest), importUrl())
    await expectStatus(answer, 200)
    const uuid = (await answer.text()).trim()
    const vm = await recordOf(rpc, 'VM', uuid)
    expect(vm).toMatchObject({
      name_label: 'web',
      name_description: 'Serves <pages>',
      VCPUs_max: 2,
      memory_static_max: 2048 * MiB,
      HVM_boot_params: { firmware: 'uefi' },
      VIFs: [expect.any(String)],
    })
    const vdis = await vdisOf(rpc, vm)
    expect(answer.headers.get('vdi-uuid')).toBe(vdis.join(', '))
    expect(answer.headers.get('vm-uuid')).toBe(uuid)
    for (const [index, vdi] of vdis.entries()) {
      expect(await recordOf(rpc, 'VDI', vdi)).toMatchObject({
        name_label: `Hard Disk ${index + 1}`,
      })
    }
    await expectDisks(server, vdis, raws)
  })

  test('may be named, compressed, have its manifest first, and come by format=auto', async () => {
    const rpc = await login(server)
    const { raws, images } = await createDisks(await createTestFolder())
    const manifest = textEntry('web.mf', manifestOf([ovf, ...images], 'SHA1'))
    const file = join(await createTestFolder(), 'web.ova')
    await writeFile(file, tarOf(ovf, manifest, textEntry('web.cert', 'no'), ...images))
    await run('gzip', [file])
    const query = { sr_uuid: 'default', format: 'auto', name_label: 'mine' }
    const url = importUrl(query, '/import_raw_vdi')
    const answer = await curl(...asRoot, '-T', `${file}.gz`, url)
    await expectStatus(answer, 200)
    const vm = await recordOf(rpc, 'VM', answer.headers.get('vm-uuid')!)
    expect(vm['name_label']).toBe('mine')
    const vdis = await vdisOf(rpc, vm)
    expect(await answer.text()).toBe(vdis.map((vdi) => `${vdi}\n`).join(''))
    await expectDisks(server, vdis, raws)
  })

  test('of any tar program, with images of other formats in it, and folders', async () => {
    const rpc = await login(server)
    const folder = await createTestFolder()
    const long = `${'a-very-long-name-'.repeat(8)}.qcow2`
    const raw = await createRawSource(folder, 'x.raw', {
      size: 4 * MiB,
      parts: [[0, MiB]],
      seed: 3,
    })
    await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', '-c', raw, join(folder, long)])
    const text = ovfOf([
      { id: 'd1', href: long, capacity: 4 * MiB },
      { id: 'd2', href: 'x.raw', capacity: 4 * MiB },
    ]).replaceAll(/ ovf:format="[^"]*"/g, '')
    await writeFile(join(folder, 'x.ovf'), text)
    for (const format of ['pax', 'gnu']) {
      const file = join(folder, `${format}.ova`)
      const names = ['./x.ovf', `./${long}`, './x.raw']
      await run('tar', [`--format=${format}`, '-C', folder, '-cf', file, ...names])
      const answer = await curl(...asRoot, '-T', file, importUrl({ format: 'ova' }))
      await expectStatus(answer, 200)
      const vm = await recordOf(rpc, 'VM', (await answer.text()).trim())
      await expectDisks(server, await vdisOf(rpc, vm), [raw, raw])
    }
  })

  test('tells a task what is left out, and its VMs', async () => {
    const rpc = await login(server)
    const { images } = await createDisks(await createTestFolder())
    const task = await rpc<string>('task.create', 'import', '')
    const url = importUrl({ task_id: task })
    const answer = await upload(tarOf(ovf, ...images, textEntry('web.nvram', 'x')), url)
    await expectStatus(answer, 200)
    const { status, result, other_config: config } = await rpc<Fields>('task.get_record', task)
    const uuid = (await answer.text()).trim()
    expect(status).toBe('success')
    expect(result).toBe(
      `<value><array><data><value>OpaqueRef:${uuid}</value></data></array></value>`,
    )
    expect((config as Fields)['notes']).toContain('the network "VM Network" is not here')
  })
})

describe('an XVA', () => {
  const sizes = { 'Ref:2': 3 * MiB + 512 * 1024, 'Ref:7': 5 * MiB }
  const contents = (): Record<string, Buffer> => {
    const [first, second] = [Buffer.alloc(sizes['Ref:2']), Buffer.alloc(sizes['Ref:7'])]
    first.write('first disk', 2 * MiB + 5)
    second.write('second disk', 100)
    return { 'Ref:2': first, 'Ref:7': second }
  }

  const rawFiles = async (): Promise<string[]> => {
    const folder = await createTestFolder()
    return Promise.all(
      Object.entries(contents()).map(async ([id, bytes]) => {
        const file = join(folder, `${id.replace(':', '')}.raw`)
        await writeFile(file, bytes)
        return file
      }),
    )
  }

  test('becomes its VM, with new uuids and MAC addresses', async () => {
    const rpc = await login(server)
    const answer = await upload(xvaOf(xvaObjects(sizes), contents()), importUrl())
    await expectStatus(answer, 200)
    const vm = await recordOf(rpc, 'VM', (await answer.text()).trim())
    expect(vm).toMatchObject({
      name_label: 'db',
      name_description: 'a database',
      VCPUs_max: 4,
      memory_static_max: 2 ** 31,
      HVM_boot_params: { order: 'cdn' },
      platform: { viridian: 'true' },
      tags: ['prod'],
      power_state: 'Halted',
    })
    expect(vm['uuid']).not.toBe('11111111-2222-4333-8444-555555555555')
    expect(vm['VBDs']).toHaveLength(3)
    const vif = await rpc<Fields>('VIF.get_record', (vm['VIFs'] as string[])[0])
    expect(vif['MAC']).not.toBe('02:11:22:33:44:55')
    await expectDisks(server, await vdisOf(rpc, vm), await rawFiles())
  })

  test('keeps them with restore=true, once', async () => {
    const rpc = await login(server)
    const xva = xvaOf(xvaObjects(sizes), contents())
    const answer = await upload(xva, importUrl({ restore: 'true' }))
    await expectStatus(answer, 200)
    const vm = await recordOf(rpc, 'VM', '11111111-2222-4333-8444-555555555555')
    const vif = await rpc<Fields>('VIF.get_record', (vm['VIFs'] as string[])[0])
    expect(vif['MAC']).toBe('02:11:22:33:44:55')
    const again = await upload(xva, importUrl({ restore: 'true' }))
    expect(await again.text()).toContain('DUPLICATE_VM')
    expect(again.status).toBeGreaterThanOrEqual(400)
  })

  test('brings snapshots with it, which can be reverted to', async () => {
    const rpc = await login(server)
    const objects = xvaObjects({ 'Ref:2': MiB }, { parent: 'Ref:50' })
    const [vm, vbd, vdi] = objects as [
      (typeof objects)[0],
      (typeof objects)[0],
      (typeof objects)[0],
    ]
    const taken = { is_a_snapshot: true, snapshot_time: '20251127T12:00:00Z' }
    const snapshot = [
      {
        ...vm,
        id: 'Ref:50',
        snapshot: {
          ...vm.snapshot,
          ...taken,
          name_label: 'before',
          snapshot_of: 'Ref:0',
          is_a_template: true,
          parent: nullRef,
        },
      },
      { ...vbd, id: 'Ref:51', snapshot: { ...vbd.snapshot, VM: 'Ref:50', VDI: 'Ref:52' } },
      { ...vdi, id: 'Ref:52', snapshot: { ...vdi.snapshot, ...taken, snapshot_of: 'Ref:2' } },
    ]
    const [now, before] = [Buffer.alloc(MiB, 'n'), Buffer.alloc(MiB, 'b')]
    const xva = xvaOf([...objects, ...snapshot], { 'Ref:2': now, 'Ref:52': before })
    const answer = await upload(xva, importUrl())
    await expectStatus(answer, 200)
    const uuid = (await answer.text()).trim()
    const imported = await recordOf(rpc, 'VM', uuid)
    const [ref] = imported['snapshots'] as string[]
    expect(imported['parent']).toBe(ref)
    expect(await rpc<Fields>('VM.get_record', ref)).toMatchObject({ name_label: 'before' })
    await rpc('VM.revert', ref)
    const [disk] = await vdisOf(rpc, await recordOf(rpc, 'VM', uuid))
    const { bodyFile } = await download(server, disk!, 'raw')
    expect((await readFile(bodyFile)).equals(before)).toBe(true)
  })
})
