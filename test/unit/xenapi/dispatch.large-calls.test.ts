// Calls whose answers grow with what there is: they wait for a place, and others do not wait for
// them.

import { expect, test } from 'vitest'
import { createAnswerRoom } from '../../../src/xenapi/wire/answer-room.ts'
import { createTestApi, createVdi } from '../../support/xenapi.ts'

/** An API whose only place for large answers is taken. */
const start = async () => {
  const room = createAnswerRoom({ places: 1, patience: 1 })
  const api = await createTestApi({ room })
  const vdi = await createVdi(api)
  const taken = room.begin()
  await taken.enter()
  const ask = async (method: string, ...params: unknown[]): Promise<object> =>
    JSON.parse(
      await api.jsonRpc(
        JSON.stringify({ jsonrpc: '2.0', method, params: [api.session, ...params], id: 1 }),
      ),
    ) as object
  return { ...api, vdi, taken, ask }
}

const busy = { error: { code: 1, message: 'TOO_BUSY', data: [] } }

test('calls whose answers are large are TOO_BUSY while there is no room, and go on when there is', async () => {
  const { ask, vdi, taken } = await start()
  const calls: [string, ...unknown[]][] = [
    ['VDI.get_all'],
    ['VDI.get_all_records'],
    ['task.get_all_records_where', 'true'],
    ['SR.get_by_name_label', 'x'],
    ['VDI.list_changed_blocks', vdi, vdi],
  ]
  const answers = async () => Promise.all(calls.map(async (call) => ask(...call)))
  expect(await answers()).toEqual(calls.map(() => expect.objectContaining(busy) as object))
  taken.release()
  for (const answer of await answers()) expect(answer).toHaveProperty('result')
})

test('calls whose answers are small do not wait', async () => {
  const { ask, vdi } = await start()
  expect(await ask('VDI.get_record', vdi)).toHaveProperty('result.uuid')
  expect(await ask('VDI.set_name_label', vdi, 'new')).toMatchObject({ result: '' })
})

test('a task that lists changed blocks waits for a place, too', async () => {
  const { ask, vdi, taken, dispatcher, call } = await start()
  const run = async () => {
    const { result } = (await ask('Async.VDI.list_changed_blocks', vdi, vdi)) as { result: string }
    await dispatcher.idle()
    return call('task.get_record', result)
  }
  expect(await run()).toMatchObject({ status: 'failure', error_info: ['TOO_BUSY'] })
  taken.release()
  expect(await run()).toMatchObject({
    status: 'success',
    result: expect.stringMatching(/^<value>A+=*<\/value>$/) as string,
  })
})
