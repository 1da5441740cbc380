import { expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { UndecidedError, withTask } from '../../../src/transfer/with-task.ts'
import { createStartedCatalog } from '../../support/catalogs.ts'

const start = async () => {
  const { catalog } = await createStartedCatalog()
  const user = (await catalog.users.getByName('root'))!
  const ref = await catalog.tasks.create({ nameLabel: 'a task', userUuid: user.uuid })
  const fail = (error: Error) =>
    withTask(
      catalog,
      { user, ref, requireAllowed: () => {} },
      async () => {
        throw error
      },
      () => '',
    )
  const note = (notes: readonly string[]) =>
    withTask(
      catalog,
      { user, ref, requireAllowed: () => {} },
      (task) => task.note(notes),
      () => '',
    )
  const status = async () => (await catalog.tasks.get(ref))?.status
  return { tasks: catalog.tasks, ref, fail, note, status }
}

test('a task fails with its work', async () => {
  const { fail, status } = await start()
  await expect(fail(new AppError('SR_FULL', []))).rejects.toMatchObject({ code: 'SR_FULL' })
  expect(await status()).toBe('failure')
})

test('a task whose outcome is decided later stays as it is', async () => {
  const { fail, status } = await start()
  const asked = fail(new UndecidedError('the destination has not answered'))
  await expect(asked).rejects.toMatchObject({ code: 'HOST_IS_SHUTTING_DOWN' })
  expect(await status()).toBe('pending')
})

test('notes are kept beside what else the task holds', async () => {
  const { tasks, ref, note, status } = await start()
  await tasks.update(ref, () => ({ otherConfig: { from: 'a client' } }))
  await note(['1 bitmap was left out', 'a second note'])
  expect((await tasks.get(ref))?.otherConfig).toEqual({
    from: 'a client',
    notes: '1 bitmap was left out\na second note',
  })
  expect(await status()).toBe('success')
})

test('work goes on where the task has no room for notes', async () => {
  const { tasks, ref, note, status } = await start()
  await note(['x'.repeat(100_000)])
  expect((await tasks.get(ref))?.otherConfig).toEqual({})
  expect(await status()).toBe('success')
})
