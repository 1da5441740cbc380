// A catalog on a full disk: reading goes on, logins and tasks are in memory, the rest says that the
// disk is full; and what was in memory is written once there is room again.

import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { toAppError } from '../../../src/errors.ts'
import { GiB } from '../../../src/units.ts'
import {
  beginLayer,
  createStartedCatalog,
  createTestCatalog,
  createTestClock,
  createTestVdi,
} from '../../support/catalogs.ts'
import { canMount, mountSmallFolder } from '../../support/small-folder.ts'

const start = async () => {
  const folder = await mountSmallFolder(4)
  const path = join(folder.path, 'catalog.db')
  const clock = createTestClock()
  const { catalog, srUuid } = await createStartedCatalog(path, clock)
  const root = (await catalog.users.getByName('root'))!
  const vdi = await createTestVdi(catalog, srUuid)
  const createVdi = () => createTestVdi(catalog, srUuid, 'x'.repeat(1024))
  const fill = async (): Promise<void> => {
    await folder.fill()
    // The file's log may have room of its own left.
    const created = async (): Promise<boolean> =>
      createVdi().then(
        () => true,
        () => false,
      )
    while (await created());
  }
  const createTask = () => catalog.tasks.create({ nameLabel: 'export', userUuid: root.uuid })
  const login = () => catalog.sessions.create({ userUuid: root.uuid, originator: 'test' })
  const reopen = async () => {
    await catalog.close()
    return createTestCatalog(path, clock)
  }
  return { folder, clock, catalog, srUuid, root, vdi, createVdi, fill, createTask, login, reopen }
}

/** As callers hear of it. */
const told = (result: Promise<unknown>): Promise<unknown> =>
  result.catch((error: unknown) => Promise.reject(toAppError(error)))

describe.skipIf(!canMount())('on a full disk', () => {
  it('what must be kept is refused as SR_FULL, and what is there can be read', async () => {
    const { catalog, srUuid, vdi, fill, createVdi } = await start()
    await fill()
    const full = {
      code: 'SR_FULL',
      message: "The server's data folder is full: nothing can be recorded until space is freed",
    }
    await expect(told(createVdi())).rejects.toMatchObject(full)
    await expect(told(beginLayer(catalog, srUuid))).rejects.toMatchObject(full)
    expect(await catalog.vdis.get(vdi.uuid)).toEqual(vdi)
  })

  it('the end of a task that is in memory alone is not lost by a cancel that comes too late', async () => {
    const { catalog, fill, createTask } = await start()
    const stored = await createTask()
    await fill()
    const unstored = await createTask()
    for (const ref of [stored, unstored]) {
      await catalog.tasks.take(ref)
      await catalog.tasks.succeed(ref, '')
      await catalog.tasks.cancelling(ref)
      expect((await catalog.tasks.get(ref))?.status).toBe('success')
    }
  })

  it('the catalog says so until there is room again', async () => {
    const { catalog, folder, fill } = await start()
    expect(await catalog.whyUnwritable()).toBeUndefined()
    await fill()
    expect(await catalog.whyUnwritable()).toBe(
      'the data folder is full: 0 bytes are free, at least 1048576 are needed',
    )
    await folder.free()
    expect(await catalog.whyUnwritable()).toBeUndefined()
  })

  it('a login works, for a day or until the password changes, and is written when it can be', async () => {
    const { catalog, clock, folder, fill, login, root, reopen } = await start()
    const old = await login()
    await fill()
    clock.advance(120_000)
    expect(await catalog.sessions.find(old.ref)).toMatchObject({ uuid: old.uuid })
    const [kept, left] = [await login(), await login()]
    const { ref, ...row } = kept
    expect(await catalog.sessions.find(ref)).toEqual(row)
    await catalog.sessions.destroy(left.ref)
    expect(await catalog.sessions.find(left.ref)).toBeUndefined()
    await folder.free()
    clock.advance(120_000)
    expect(await catalog.sessions.find(ref)).toMatchObject({ uuid: row.uuid })
    const restarted = await reopen()
    expect(await restarted.sessions.find(ref)).toMatchObject({ uuid: row.uuid })
    await restarted.users.setPassword(root.uuid, 'another')
    expect(await restarted.sessions.find(ref)).toBeUndefined()
  })

  it('a session in memory ends with a new password, and after a day', async () => {
    const { catalog, clock, folder, fill, login, root } = await start()
    await fill()
    const [first, second] = [await login(), await login()]
    clock.advance(24 * 3_600_000)
    expect(await catalog.sessions.find(first.ref)).toBeUndefined()
    const third = await login()
    await folder.free()
    await catalog.users.setPassword(root.uuid, 'another')
    expect(await catalog.sessions.find(second.ref)).toBeUndefined()
    expect(await catalog.sessions.find(third.ref)).toBeUndefined()
  })

  it('tasks are made, taken, ended and destroyed, and written when they can be', async () => {
    const { catalog, folder, fill, createTask, reopen } = await start()
    const { tasks } = catalog
    const [waiting, gone, running] = [await createTask(), await createTask(), await createTask()]
    await tasks.take(running)
    await fill()
    const [made, brief] = [await createTask(), await createTask()]
    await tasks.take(made)
    await tasks.update(made, () => ({ otherConfig: { a: 'b' } }))
    tasks.setProgress(made, 0.5)
    expect(await tasks.get(made)).toMatchObject({ progress: 0.5, hasTransfer: true })
    await expect(tasks.take(made)).rejects.toMatchObject({ code: 'OTHER_OPERATION_IN_PROGRESS' })
    await tasks.succeed(made, '<value>x</value>')
    await tasks.cancelling(running)
    await tasks.cancel(running)
    await tasks.destroy(gone)
    await tasks.destroy(brief)
    const expected = async (from: typeof tasks) => {
      const list = await from.list()
      const statuses = new Map(list.map(({ uuid, status }) => [`OpaqueRef:${uuid}`, status]))
      expect(statuses).toEqual(
        new Map([
          [waiting, 'pending'],
          [running, 'cancelled'],
          [made, 'success'],
        ]),
      )
      expect(await from.uuids()).toHaveLength(3)
      expect(await from.get(gone)).toBeUndefined()
      expect(await from.get(made)).toMatchObject({
        result: '<value>x</value>',
        otherConfig: { a: 'b' },
      })
    }
    await expected(tasks)
    await folder.free()
    await tasks.expire()
    await expected(tasks)
    await expected((await reopen()).tasks)
  })

  it('a task in memory ends with the commit that can be written again, and stops one', async () => {
    const { catalog, folder, fill, createTask, srUuid, reopen } = await start()
    await fill()
    const [first, second] = [await createTask(), await createTask()]
    for (const ref of [first, second]) await catalog.tasks.take(ref)
    await catalog.tasks.cancelling(second)
    await folder.free()
    const row = { srUuid, virtualSize: GiB, format: 'raw' } as const
    const { uuid } = await catalog.vdis.create(row, first)
    await expect(catalog.vdis.create(row, second)).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    await catalog.tasks.cancel(second)
    const both = async (from: typeof catalog.tasks) => {
      const result = `<value>OpaqueRef:${uuid}</value>`
      expect(await from.get(first)).toMatchObject({ status: 'success', result })
      expect(await from.get(second)).toMatchObject({ status: 'cancelled', result: '' })
    }
    await both(catalog.tasks)
    await both((await reopen()).tasks)
  })

  it('tasks in memory are bounded: ended ones give way, pending ones are refused', async () => {
    const { catalog, fill, createTask } = await start()
    await fill()
    const refs: string[] = []
    while (refs.length < 250) refs.push(await createTask())
    await expect(told(createTask())).rejects.toMatchObject({ code: 'SR_FULL' })
    await catalog.tasks.succeed(refs[7]!, '')
    const last = await createTask()
    expect(await catalog.tasks.get(refs[7]!)).toBeUndefined()
    expect(await catalog.tasks.get(last)).toMatchObject({ status: 'pending' })
  })

  it('a server that starts there ends what the one before left running', async () => {
    const { catalog, fill, createTask, reopen, folder } = await start()
    const ref = await createTask()
    await catalog.tasks.take(ref)
    await fill()
    expect(await catalog.tasks.recover()).toEqual({ trimmed: 0, failed: 1 })
    expect(await catalog.tasks.get(ref)).toMatchObject({ status: 'failure' })
    await folder.free()
    expect(await (await reopen()).tasks.get(ref)).toMatchObject({ status: 'failure' })
  })
})
