// Whose task a transfer may use: its user's own, pending, and that of no other request. Whoever is
// refused leaves the task, and the transfer that runs with it, as they are.

import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { createVdi, login, type TaskRecord } from '../support/json-rpc.ts'
import { shareServer } from '../support/server.ts'
import { openUpload } from '../support/slow-client.ts'
import { createRawSource } from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import { asRoot, expectStatus, exportUrl, importUrl, uploadNew } from '../support/transfer.ts'
import { eventually } from '../support/wait.ts'

const MiB = 1 << 20

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('the task of a transfer', async () => {
  const server = await shareServer()
  const rpc = await login(server)
  const users = { reader: 'read-only', keeper: 'vm-admin', operator: 'pool-operator' }
  for (const [name, role] of Object.entries(users)) {
    await rpc('user.create', { short_name: name, password: `${name}-pw` }).then((user) =>
      rpc('user.set_role', user, role),
    )
  }
  const as = (name: keyof typeof users) => ['-u', `${name}:${name}-pw`]
  const createTask = (): Promise<string> => rpc('task.create', 'transfer', 'of a test')
  const readTask = (task: string): Promise<TaskRecord> => rpc('task.get_record', task)
  const taskOf = async (name: keyof typeof users): Promise<string> => {
    const own = await login(server, name, `${name}-pw`)
    return own('task.create', 'transfer', 'of ones own')
  }
  const source = async () => createRawSource(await createTestFolder())

  test.each(['reader', 'keeper'] as const)(
    'of root is not failed, used or ended by the %s, whatever is asked',
    async (name) => {
      const uuid = await uploadNew(server, await source(), 'raw')
      const target = await createVdi(rpc, 32 * MiB)
      const task = await createTask()
      const into = importUrl(server, { vdi: target.uuid, format: 'raw', task_id: task })
      const slow = await openUpload(into, 32 * MiB)
      await slow.write(randomBytes(MiB))
      const outOf = exportUrl(server, uuid, 'raw', { task_id: task })
      const requests = [['-T', await source(), into], [outOf], ['-I', outOf]]
      for (const request of requests) {
        const refused = await curl(...as(name), ...request)
        await expectStatus(refused, 403)
        expect(await readTask(task)).toMatchObject({ status: 'pending', error_info: [] })
      }
      await slow.write(randomBytes(31 * MiB))
      expect(await slow.end()).toMatchObject({ status: 200 })
      expect(await readTask(task)).toMatchObject({
        status: 'success',
        result: `<value>${target.ref}</value>`,
      })
    },
  )

  test('of another: the refusal says why, and the log whose attempt it was', async () => {
    const uuid = await uploadNew(server, await source(), 'raw')
    const task = await createTask()
    const refused = await curl(...as('keeper'), exportUrl(server, uuid, 'raw', { task_id: task }))
    const taskUuid = task.slice('OpaqueRef:'.length)
    const reason =
      `the task ${taskUuid} belongs to another user, and the role vm-admin may touch only its own; ` +
      'these may touch any: pool-admin, pool-operator'
    expect(await refused.text()).toBe(
      `RBAC_PERMISSION_DENIED [task.use/any]: Permission task.use/any denied: ${reason}\n`,
    )
    const line =
      `"audit":{"user":"keeper","method":"http/get_export_raw_vdi","object":"${taskUuid}",` +
      '"outcome":"RBAC_PERMISSION_DENIED"}'
    await eventually('the line of the refusal', async () =>
      server.output().includes(line) ? true : undefined,
    )
    expect(await readTask(task)).toMatchObject({ status: 'pending' })
  })

  test('of another may be used by a role that may touch any', async () => {
    const uuid = await uploadNew(server, await source(), 'raw')
    const task = await createTask()
    const url = exportUrl(server, uuid, 'raw', { task_id: task })
    await expectStatus(await curl(...as('operator'), url), 200)
    expect(await readTask(task)).toMatchObject({ status: 'success' })
  })

  test('that another request has is refused with 409, and that request goes on', async () => {
    const { uuid, ref } = await createVdi(rpc, 8 * MiB)
    const task = await createTask()
    const into = importUrl(server, { vdi: uuid, format: 'raw', task_id: task })
    const slow = await openUpload(into, 8 * MiB)
    await slow.write(randomBytes(MiB))
    const second = await curl(...asRoot, exportUrl(server, uuid, 'raw', { task_id: task }))
    await expectStatus(second, 409)
    expect(await second.text()).toBe(
      `OTHER_OPERATION_IN_PROGRESS [task, ${task}]: The task ${task.slice(10)} cannot be used: ` +
        'another request has it; make a new one with task.create\n',
    )
    await slow.write(randomBytes(7 * MiB))
    expect(await slow.end()).toMatchObject({ status: 200 })
    expect(await readTask(task)).toMatchObject({
      status: 'success',
      result: `<value>${ref}</value>`,
    })
  })

  test.each(['success', 'failure'])('that ended as %s is refused with 409', async (status) => {
    const uuid = await uploadNew(server, await source(), 'raw')
    const task = await createTask()
    await rpc('task.set_status', task, status)
    for (const request of [[], ['-I'], ['-T', await source()]]) {
      const url = request[0] === '-T' ? importUrl : undefined
      const query = { vdi: uuid, format: 'raw', task_id: task }
      const address = url?.(server, query) ?? exportUrl(server, uuid, 'raw', { task_id: task })
      const refused = await curl(...asRoot, ...request, address)
      await expectStatus(refused, 409)
    }
    const said = await curl(...asRoot, exportUrl(server, uuid, 'raw', { task_id: task }))
    expect(await said.text()).toBe(
      `OPERATION_NOT_ALLOWED: The task ${task.slice(10)} cannot be used: ` +
        `it has ended with ${status}; make a new one with task.create\n`,
    )
    expect(await readTask(task)).toMatchObject({ status, result: '', error_info: [] })
  })

  test('of ones own ends with the refusal of a role', async () => {
    const uuid = await uploadNew(server, await source(), 'raw')
    const requests = [
      (task: string) => [exportUrl(server, uuid, 'raw', { task_id: task })],
      (task: string) => [
        '-H',
        'expect: 100-continue',
        '--data-binary',
        'x',
        '-X',
        'PUT',
        importUrl(server, { vdi: uuid, format: 'raw', task_id: task }),
      ],
    ]
    for (const request of requests) {
      const task = await taskOf('reader')
      await expectStatus(await curl(...as('reader'), ...request(task)), 403)
      const { status, error_info: errorInfo } = await readTask(task)
      expect([status, errorInfo[0]]).toEqual(['failure', 'RBAC_PERMISSION_DENIED'])
    }
  })

  test('is left to the GET by the HEAD before it', async () => {
    const uuid = await uploadNew(server, await source(), 'raw')
    const task = await createTask()
    const url = exportUrl(server, uuid, 'raw', { task_id: task })
    const head = await curl(...asRoot, '-I', url)
    await expectStatus(head, 200)
    expect(head.headers.get('task-id')).toBe(task)
    expect(await readTask(task)).toMatchObject({ status: 'pending' })
    await expectStatus(await curl(...asRoot, url), 200)
    expect(await readTask(task)).toMatchObject({ status: 'success' })
  })
})
