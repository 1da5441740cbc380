// Transfers that carry a task: what it tells during and after, and how it stops them.

import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { createVdi, login, type TaskRecord } from '../support/json-rpc.ts'
import { listStaging } from '../support/layers.ts'
import { shareServer } from '../support/server.ts'
import { openDownload, openUpload } from '../support/slow-client.ts'
import { createRawSource, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool, qemuImg } from '../support/tools.ts'
import {
  asRoot,
  expectStatus,
  download,
  exportUrl,
  importUrl,
  uploadNew,
} from '../support/transfer.ts'
import { eventually, within } from '../support/wait.ts'

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('tasks', async () => {
  const server = await shareServer()
  const rpc = await login(server)
  const createTask = (): Promise<string> => rpc('task.create', 'transfer', 'of a test')
  const readTask = (task: string): Promise<TaskRecord> => rpc('task.get_record', task)
  const untilEnded = (task: string): Promise<TaskRecord> =>
    eventually('the task to end', async () => {
      const record = await readTask(task)
      return record.status === 'pending' || record.status === 'cancelling' ? undefined : record
    })

  test('an import: pending, then success with the VDI as result', async () => {
    const { uuid, ref } = await createVdi(rpc, 25 << 20)
    const task = await createTask()
    expect(await readTask(task)).toMatchObject({ status: 'pending', progress: 0, result: '' })
    const source = await createRawSource(await createTestFolder())
    const url = importUrl(server, { vdi: uuid, format: 'raw', task_id: task })
    const answer = await curl('-T', source, `${url}&session_id=${rpc.session}`)
    await expectStatus(answer, 200)
    expect(await untilEnded(task)).toMatchObject({
      status: 'success',
      progress: 1,
      result: `<value>${ref}</value>`,
      error_info: [],
    })
    const { bodyFile } = await download(server, uuid, 'raw')
    await expectSameGuest([bodyFile, 'raw'], [source, 'raw'])
    await rpc('task.destroy', task)
    await expect(readTask(task)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
  })

  test('what an import leaves out is noted in its task and in the log', async () => {
    const path = join(await createTestFolder(), 'disk.qcow2')
    await qemuImg('create', '-q', '-f', 'qcow2', path, '25M')
    await qemuImg('snapshot', '-c', 'before', path)
    const { uuid } = await createVdi(rpc, 25 << 20)
    const task = await createTask()
    const url = importUrl(server, { vdi: uuid, format: 'qcow2', task_id: task })
    await expectStatus(await curl(...asRoot, '-T', path, url), 200)
    const note = '1 internal snapshot was left out: only the current state of the disk is imported'
    expect(await untilEnded(task)).toMatchObject({
      status: 'success',
      other_config: { notes: note },
    })
    expect(server.output()).toContain(note)
  })

  test('progress follows the bytes of an upload', async () => {
    const { uuid } = await createVdi(rpc, 24 << 20)
    const task = await createTask()
    const length = 24 << 20
    const url = importUrl(server, { vdi: uuid, format: 'raw', task_id: task })
    const slow = await openUpload(url, length)
    for (const quarter of [1, 2, 3]) {
      await slow.write(randomBytes(length / 4))
      await eventually(`progress of ${quarter} quarters`, async () => {
        const { progress, status } = await readTask(task)
        expect(status).toBe('pending')
        expect(progress).toBeLessThanOrEqual(quarter / 4)
        return progress > quarter / 4 - 0.2 ? true : undefined
      })
    }
    await slow.write(randomBytes(length / 4))
    await slow.end()
    expect(await untilEnded(task)).toMatchObject({ status: 'success', progress: 1 })
  })

  test('an export: success at its end', async () => {
    const uuid = await uploadNew(server, await createRawSource(await createTestFolder()), 'raw')
    const task = await createTask()
    const answer = await curl(...asRoot, exportUrl(server, uuid, 'qcow2', { task_id: task }))
    await expectStatus(answer, 200)
    expect(answer.headers.get('task-id')).toBe(task)
    expect(await untilEnded(task)).toMatchObject({ status: 'success', progress: 1 })
  })

  test('an upload of garbage fails its task with code and sentence', async () => {
    const { uuid } = await createVdi(rpc, 24 << 20)
    const garbage = join(await createTestFolder(), 'garbage')
    await writeFile(garbage, randomBytes(5 << 20))
    for (const format of ['vhd', 'qcow2']) {
      const task = await createTask()
      const answer = await curl(
        ...asRoot,
        '-T',
        garbage,
        importUrl(server, { vdi: uuid, format, task_id: task }),
      )
      expect([200, 400]).toContain(answer.status)
      const { status, error_info: errorInfo } = await untilEnded(task)
      expect(status).toBe('failure')
      expect(errorInfo[0]).toBe('IMPORT_ERROR_GENERIC')
      expect(errorInfo[1]).toMatch(new RegExp(`^Cannot decode ${format}: `))
    }
  })

  test('requests refused before they began fail their task too', async () => {
    const uuid = await uploadNew(server, await createRawSource(await createTestFolder()), 'raw')
    const nobody = '00000000-0000-4000-8000-000000000000'
    const source = await createRawSource(await createTestFolder())
    const notThere = /^(HANDLE|UUID)_INVALID$/
    const cases = [
      [
        'GET',
        (task: string) => exportUrl(server, uuid, 'vmdk9', { task_id: task }),
        /^VALUE_NOT_SUPPORTED$/,
      ],
      ['GET', (task: string) => exportUrl(server, nobody, 'vhd', { task_id: task }), notThere],
      [
        'PUT',
        (task: string) => importUrl(server, { vdi: nobody, format: 'raw', task_id: task }),
        notThere,
      ],
      [
        'PUT',
        (task: string) =>
          importUrl(server, { sr_id: 'OpaqueRef:gone', format: 'raw', task_id: task }),
        notThere,
      ],
    ] as const
    for (const [method, url, code] of cases) {
      const task = await createTask()
      const args = method === 'PUT' ? ['-T', source, url(task)] : [url(task)]
      await curl(...asRoot, ...args)
      const record = await untilEnded(task)
      expect(record.status).toBe('failure')
      expect(record.error_info[0]).toMatch(code)
    }
  })

  test('cancel stops an import, which leaves the VDI as it was', async () => {
    const source = await createRawSource(await createTestFolder())
    const uuid = await uploadNew(server, source, 'raw')
    const task = await createTask()
    const slow = await openUpload(importUrl(server, { vdi: uuid, format: 'raw', task_id: task }))
    await slow.write(randomBytes(3 << 20))
    await rpc('task.cancel', task)
    await within('the server to end the upload', slow.broken)
    expect(await untilEnded(task)).toMatchObject({ status: 'cancelled' })
    expect(await listStaging(server.dataFolder)).toEqual([])
    const { bodyFile } = await download(server, uuid, 'raw')
    await expectSameGuest([bodyFile, 'raw'], [source, 'raw'])
  })

  test('cancel stops an export: the connection breaks, it does not end well', async () => {
    const size = 64 << 20
    const source = await createRawSource(await createTestFolder(), 'big.raw', {
      size,
      parts: [[0, size]],
    })
    const uuid = await uploadNew(server, source, 'raw')
    const task = await createTask()
    const slow = await openDownload(exportUrl(server, uuid, 'raw', { task_id: task }))
    await slow.read(1000)
    await rpc('task.cancel', task)
    await expect(slow.rest()).rejects.toThrow(/aborted|ECONNRESET|hang up/)
    expect(await untilEnded(task)).toMatchObject({ status: 'cancelled' })
  })

  test('a client that leaves ends the task', async () => {
    const size = 64 << 20
    const source = await createRawSource(await createTestFolder(), 'big.raw', {
      size,
      parts: [[0, size]],
    })
    const uuid = await uploadNew(server, source, 'raw')
    const task = await createTask()
    const slow = await openDownload(exportUrl(server, uuid, 'raw', { task_id: task }))
    await slow.read(1000)
    slow.cut()
    expect((await untilEnded(task)).status).not.toBe('success')
  })

  test('the content of the VDI when the task says success is the new one', async () => {
    const { uuid } = await createVdi(rpc, 24 << 20)
    const task = await createTask()
    const source = await createRawSource(await createTestFolder(), 'all.raw', {
      size: 24 << 20,
      parts: [[0, 24 << 20]],
    })
    const slow = await openUpload(importUrl(server, { vdi: uuid, format: 'raw', task_id: task }))
    await slow.write(await readFile(source))
    const answer = slow.end()
    expect((await untilEnded(task)).status).toBe('success')
    const { bodyFile } = await download(server, uuid, 'raw')
    await expectSameGuest([bodyFile, 'raw'], [source, 'raw'])
    expect((await answer).status).toBe(200)
  })
})
