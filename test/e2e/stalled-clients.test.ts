// Clients that take or send nothing: they hold no place against others, they are told when their
// time is over, and every transfer shows as a task that can be cancelled.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, onTestFinished, test } from 'vitest'
import { curl } from '../support/curl.ts'
import type { Rpc, TaskRecord } from '../support/json-rpc.ts'
import { createVdi, login } from '../support/json-rpc.ts'
import { listStaging } from '../support/layers.ts'
import type { TestServer } from '../support/server.ts'
import { rootPassword, startServer } from '../support/server.ts'
import { openDownload, openUpload } from '../support/slow-client.ts'
import { createRawSource, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import { asRoot, expectStatus, exportUrl, importUrl, uploadNew } from '../support/transfer.ts'
import { eventually, within } from '../support/wait.ts'

const size = 64 << 20

/** A VDI of 64 MiB, all of it data: more than the sockets take. */
const uploadLarge = async (server: TestServer): Promise<{ uuid: string; source: string }> => {
  const folder = await createTestFolder()
  const source = await createRawSource(folder, 'large.raw', { size, parts: [[0, size]] })
  return { uuid: await uploadNew(server, source, 'raw'), source }
}

const stallDownload = async (server: TestServer, vdi: string, more = {}) => {
  const stalled = await openDownload(exportUrl(server, vdi, 'raw', more))
  onTestFinished(() => stalled.cut())
  return stalled
}

const stallUpload = async (server: TestServer, query: Record<string, string>) => {
  const stalled = await openUpload(importUrl(server, { format: 'raw', ...query }), size)
  onTestFinished(() => stalled.cut())
  await stalled.write(Buffer.alloc(1 << 20, 1))
  return stalled
}

interface NamedTask extends TaskRecord {
  readonly name_label: string
}

/** The pending task of that name, once it is listed. */
const listed = (rpc: Rpc, name: string): Promise<string> =>
  eventually(`the task "${name}" to be listed`, async () => {
    const tasks = await rpc<Record<string, NamedTask>>('task.get_all_records')
    return Object.entries(tasks).find(
      ([, { name_label, status }]) => name_label === name && status === 'pending',
    )?.[0]
  })

const untilStatus = (rpc: Rpc, task: string, status: string): Promise<TaskRecord> =>
  eventually(`the task to be ${status}`, async () => {
    const record = await rpc<TaskRecord>('task.get_record', task)
    return record.status === status ? record : undefined
  })

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('stalled clients', () => {
  test('many more stalled transfers than may be busy hold up neither their user nor others', async () => {
    const server = await startServer({ args: ['--max-transfers', '2'] })
    const rpc = await login(server)
    const guest = await rpc('user.create', { short_name: 'guest', password: 'guest-pw' })
    await rpc('user.set_role', guest, 'vm-admin')
    const { uuid, source } = await uploadLarge(server)
    for (let count = 0; count < 6; count += 1) await stallDownload(server, uuid)
    for (let count = 0; count < 6; count += 1) await stallUpload(server, { sr_uuid: 'default' })
    for (const user of [`root:${rootPassword}`, 'guest:guest-pw']) {
      const got = await curl('-u', user, exportUrl(server, uuid, 'raw'))
      await expectStatus(got, 200)
      await expectSameGuest([got.bodyFile, 'raw'], [source, 'raw'])
      const put = await curl(
        '-u',
        user,
        '-T',
        source,
        importUrl(server, { sr_uuid: 'default', format: 'raw' }),
      )
      await expectStatus(put, 200)
    }
  })

  test('HEAD, refused and empty requests take no place, and make no task', async () => {
    const server = await startServer({ args: ['--max-open-transfers', '1'] })
    const rpc = await login(server)
    const { uuid } = await uploadLarge(server)
    const other = await createVdi(rpc, size)
    await stallDownload(server, uuid)
    const url = exportUrl(server, uuid, 'raw')
    await expectStatus(await curl(...asRoot, '--head', url), 200)
    await expectStatus(await curl(...asRoot, '-r', '999999999-', url), 416)
    await expectStatus(await curl(...asRoot, exportUrl(server, 'no-such', 'raw')), 404)
    await expectStatus(await curl(...asRoot, exportUrl(server, uuid, 'tape')), 400)
    const empty = importUrl(server, { vdi: other.uuid, format: 'raw' })
    await expectStatus(await curl(...asRoot, '-X', 'PUT', '-H', 'content-length: 0', empty), 200)
    const refused = await curl(...asRoot, '-r', '0-9', url)
    await expectStatus(refused, 503)
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(await refused.text()).toContain('The user root has 1 open transfers of 1')
    await listed(rpc, `Export of ${uuid}`)
    const tasks = Object.values(await rpc<Record<string, NamedTask>>('task.get_all_records'))
    // The upload at the beginning may have lasted long enough to be listed.
    const names = tasks.map(({ name_label: name }) => name)
    expect(names.filter((name) => name !== 'Import of a new VDI')).toEqual([`Export of ${uuid}`])
  })

  test('a download without a task has one of the server, which cancels it', async () => {
    const server = await startServer()
    const rpc = await login(server)
    const { uuid } = await uploadLarge(server)
    const stalled = await stallDownload(server, uuid)
    const task = stalled.headers['task-id'] as string
    expect(await rpc('task.get_record', task)).toMatchObject({
      name_label: `Export of ${uuid}`,
      status: 'pending',
    })
    expect(await listed(rpc, `Export of ${uuid}`)).toBe(task)
    await rpc('task.cancel', task)
    await expect(stalled.rest()).rejects.toThrow('aborted')
    await untilStatus(rpc, task, 'cancelled')
  })

  test('an upload without a task has one of the server, which cancels it', async () => {
    const server = await startServer()
    const rpc = await login(server)
    const { uuid } = await createVdi(rpc, size)
    const stalled = await stallUpload(server, { vdi: uuid })
    const task = await listed(rpc, 'Import into test')
    await rpc('task.cancel', task)
    await within('the upload to be broken off', stalled.broken)
    expect(await untilStatus(rpc, task, 'cancelled')).toMatchObject({ error_info: [] })
  })

  test('an upload that falls silent: curl is told why, and so is the task', async () => {
    const server = await startServer({ args: ['--stall-timeout', '1'] })
    const rpc = await login(server)
    const { uuid } = await createVdi(rpc, size)
    const task = await rpc<string>('task.create', 'upload', '')
    const child = spawn('curl', [
      '-sS',
      ...asRoot,
      '-T',
      '.',
      '-w',
      ' %{http_code}',
      importUrl(server, { vdi: uuid, format: 'raw', task_id: task }),
    ])
    onTestFinished(() => void child.kill())
    child.stdin.on('error', () => {})
    child.stdin.write(Buffer.alloc(1000, 1))
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    await within('curl to be told', once(child, 'exit'))
    expect(said).toContain('Cannot read the upload: no byte came for 1 s, after 1000 bytes')
    expect(said).toMatch(/ 408$/)
    const { error_info: reason } = await untilStatus(rpc, task, 'failure')
    expect(reason.join(' ')).toContain('no byte came for 1 s')
  })

  test('a download whose client takes nothing is broken off, and its task says why', async () => {
    const server = await startServer({ args: ['--stall-timeout', '1'] })
    const rpc = await login(server)
    const { uuid } = await uploadLarge(server)
    const task = await rpc<string>('task.create', 'download', '')
    const stalled = await stallDownload(server, uuid, { task_id: task })
    const { error_info: reason } = await untilStatus(rpc, task, 'failure')
    expect(reason).toEqual([
      'VDI_IO_ERROR',
      'Cannot send the image: the client took nothing for 1 s',
    ])
    await expect(stalled.rest()).rejects.toThrow('aborted')
  })

  test('SIGTERM ends the stalled when their time is over, and nothing is left behind', async () => {
    const server = await startServer({ args: ['--stall-timeout', '1'] })
    const { uuid } = await uploadLarge(server)
    await stallDownload(server, uuid)
    await stallUpload(server, { sr_uuid: 'default' })
    expect(await server.stop()).toBe(0)
    expect(await listStaging(server.dataFolder)).toEqual([])
  })
})
