// Events over real connections: many that wait, some that leave, and a server that stops.

import { describe, expect, test } from 'vitest'
import { expectSameBytes } from '../support/disks.ts'
import { login, type Rpc } from '../support/json-rpc.ts'
import { runPython } from '../support/python.ts'
import { startServer } from '../support/server.ts'
import { createRawSource } from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import { download, uploadNew } from '../support/transfer.ts'
import { within } from '../support/wait.ts'
import { readFile } from 'node:fs/promises'

interface Batch {
  readonly token: string
  readonly events: readonly { readonly class: string; readonly operation: string }[]
  readonly valid_ref_counts: Readonly<Record<string, number>>
}

const poolOf = async (rpc: Rpc): Promise<string> => (await rpc<string[]>('pool.get_all'))[0]!

test('500 clients wait while a disk is imported and exported, and all are told at once', async () => {
  const server = await startServer()
  const rpc = await login(server)
  const { token } = await rpc<Batch>('event.from', [], '', 0)
  const waiting = Array.from({ length: 500 }, () =>
    rpc<Batch>('event.from', ['pool'], token, 600.1),
  )
  const source = await createRawSource(await createTestFolder())
  const uuid = await uploadNew(server, source, 'raw')
  const exported = await download(server, uuid, 'raw')
  expectSameBytes(await readFile(exported.bodyFile), await readFile(source))
  await rpc('pool.set_name_label', await poolOf(rpc), 'everybody')
  const batches = await within('500 answers', Promise.all(waiting))
  const expected = {
    events: [{ class: 'pool', operation: 'mod', snapshot: { name_label: 'everybody' } }],
    valid_ref_counts: { pool: 1 },
  }
  for (const batch of batches) expect(batch).toMatchObject(expected)
})

test('an answer for a client that has left wakes nobody, and the server goes on', async () => {
  const server = await startServer()
  const rpc = await login(server)
  const { token } = await rpc<Batch>('event.from', [], '', 0)
  const params = [rpc.session, ['pool'], token, 600]
  const leave = async (): Promise<string> => {
    const left = new AbortController()
    const response = fetch(`${server.url}/jsonrpc`, {
      method: 'POST',
      body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'event.from', params }),
      signal: left.signal,
    })
    await rpc('pool.get_all')
    left.abort()
    return response.then(
      () => 'answered',
      () => 'left',
    )
  }
  expect(await leave()).toBe('left')
  await rpc('pool.set_name_label', await poolOf(rpc), 'somebody')
  expect(await rpc<Batch>('event.from', ['pool'], token, 600)).toMatchObject({
    events: [{ operation: 'mod' }],
  })
  expect(server.output()).not.toContain('"level":50')
})

test('the server stops although clients wait', async () => {
  const server = await startServer()
  const rpc = await login(server)
  const { token } = await rpc<Batch>('event.from', [], '', 0)
  const waiting = Array.from({ length: 20 }, () => rpc('event.from', ['*'], token, 600))
  const ended = Promise.allSettled(waiting)
  await rpc('pool.get_all')
  expect(await within('the server to stop', server.stop())).toBe(0)
  const outcomes = await within('the clients to be told', ended)
  expect(outcomes.map((outcome) => outcome.status)).toEqual(Array(20).fill('rejected'))
})

describe.skipIf(!hasTool('python3'))('xmlrpc.client', () => {
  test('is woken by a change, and counts in numbers', async () => {
    const server = await startServer()
    const out = await runPython<{ first: Batch; next: Batch; lost: string[]; registered: object }>(
      server,
      `
import threading
first = ask('event.from', session, ['pool', 'Task'], '', 60.1)
out['first'] = {'events': first['events'], 'token': first['token'],
                'valid_ref_counts': first['valid_ref_counts']}
sr = ask('SR.get_all', session)[0]
def change():
    xmlrpc.client.ServerProxy(url).VDI.create(session, {'SR': sr, 'virtual_size': '512'})
timer = threading.Timer(0.05, change)
timer.start()
out['next'] = ask('event.from', session, ['vdi'], first['token'], 600.5)
timer.join()
out['lost'] = refused('event.from', session, ['*'], '1,2', 1)
ask('event.register', session, ['*'])
change()
out['registered'] = [event['class'] for event in ask('event.next', session)]
`,
    )
    expect(out.first.events.map((event) => event.class)).toEqual(['pool'])
    expect(out.first.valid_ref_counts).toEqual({ pool: 1, task: 0 })
    expect(out.next).toMatchObject({
      events: [{ class: 'vdi', operation: 'add', snapshot: { virtual_size: '512' } }],
      valid_ref_counts: { vdi: 1 },
    })
    expect(out.lost).toEqual(['EVENTS_LOST'])
    expect(out.registered).toEqual(['vdi', 'sr'])
  })
})
