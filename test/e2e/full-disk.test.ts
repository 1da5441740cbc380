// The real server on a data folder that is full: reading, exports and logins go on, the rest is
// refused as full, and /health tells. With the space the server is whole again.

import { randomBytes } from 'node:crypto'
import { mkdir, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { createVdi, login, type TaskRecord } from '../support/json-rpc.ts'
import { startServer } from '../support/server.ts'
import { canMount, mountSmallFolder } from '../support/small-folder.ts'
import { expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool, qemuImg } from '../support/tools.ts'
import { asRoot, expectStatus, exportUrl, importUrl, uploadNew } from '../support/transfer.ts'

const MiB = 1 << 20

const hasTools = hasTool('curl') && hasTool('qemu-img') && canMount()

const rawFile = async (size: number): Promise<string> => {
  const path = join(await createTestFolder(), 'disk.raw')
  await writeFile(path, randomBytes(size))
  return path
}

describe.skipIf(!hasTools)('a data folder that is full', () => {
  test('stops neither exports nor logins, says so, and takes uploads again when there is room', async () => {
    const folder = await mountSmallFolder(24)
    const server = await startServer({ dataFolder: join(folder.path, 'data') })
    const rpc = await login(server)
    const source = await rawFile(4 * MiB)
    const uuid = await uploadNew(server, source, 'raw')
    const elsewhere = await createTestFolder()
    await mkdir(join(elsewhere, 'sr'))
    const [host] = await rpc<string[]>('host.get_all')
    const device = { location: join(elsewhere, 'sr') }
    const sr = await rpc('SR.create', host, device, 0, 'big', '', 'file', '', false, {})
    const other = await createVdi(rpc, 4 * MiB, { SR: sr })
    const health = async () => (await fetch(`${server.url}/health`)).json()
    expect(await health()).toMatchObject({ status: 'ok' })

    await folder.fill()
    const name = { name_label: 'x'.repeat(1024) }
    const fillLog = async (): Promise<string> =>
      createVdi(rpc, MiB, name).then(fillLog, (error: { code: string }) => error.code)
    expect(await fillLog()).toBe('SR_FULL')
    expect(await health()).toEqual({
      status: 'degraded',
      version: expect.any(String) as string,
      reason: 'the data folder is full: 0 bytes are free, at least 1048576 are needed',
    })
    const second = await login(server)
    const task = await second<string>('task.create', 'export', '')
    const url = exportUrl(server, uuid, 'raw', { task_id: task })
    const download = await curl(
      '-o',
      join(elsewhere, 'copy'),
      `${url}&session_id=${second.session}`,
    )
    await expectStatus(download, 200)
    await expectSameGuest([download.bodyFile, 'raw'], [source, 'raw'])
    expect(await rpc<TaskRecord>('task.get_record', task)).toMatchObject({ status: 'success' })
    const refused = async (vdi: string, said: RegExp): Promise<void> => {
      const answer = await curl(...asRoot, '-T', source, importUrl(server, { vdi, format: 'raw' }))
      await expectStatus(answer, 507)
      expect(await answer.text()).toMatch(said)
    }
    await refused(uuid, /^SR_FULL: The storage repository \S+ is full: 0 bytes are free there, /)
    await refused(other.uuid, /^SR_FULL: The server's data folder is full: nothing can be recorded/)

    await folder.free()
    expect(await health()).toMatchObject({ status: 'ok' })
    await expectStatus(
      await curl(...asRoot, '-T', source, importUrl(server, { vdi: other.uuid, format: 'raw' })),
      200,
    )
    expect(await second('task.get_status', task)).toBe('success')
    expect(await server.stop()).toBe(0)
  })

  test('is told to an upload that does not fit before its first byte', async () => {
    const folder = await mountSmallFolder(24)
    const server = await startServer({ dataFolder: join(folder.path, 'data') })
    const rpc = await login(server)
    const raw = await rawFile(40 * MiB)
    const { bavail, bsize } = await statfs(folder.path)
    expect(bavail * bsize).toBeLessThan(30 * MiB)
    const target = await createVdi(rpc, 40 * MiB)
    for (const [format, subformat] of [
      ['qcow2', 'qcow2'],
      ['vhd', 'vpc'],
    ] as const) {
      const image = `${raw}.${format}`
      await qemuImg('convert', '-f', 'raw', '-O', subformat, raw, image)
      for (const query of [{ vdi: target.uuid }, { sr_uuid: 'default' }]) {
        const task = await rpc<string>('task.create', 'import', '')
        const url = importUrl(server, { ...query, format, task_id: task })
        const wait = ['-H', 'Expect: 100-continue', '--expect100-timeout', '60']
        const answer = await curl(...asRoot, ...wait, '-T', image, url)
        await expectStatus(answer, 507)
        expect(answer.uploaded).toBe(0)
        expect(await answer.text()).toMatch(
          /^SR_FULL: The storage repository \S+ is full: the image has 4\d.*, .* are free there; /,
        )
        const record = await rpc<TaskRecord>('task.get_record', task)
        expect([record.status, record.error_info[0]]).toEqual(['failure', 'SR_FULL'])
      }
    }
  })
})
