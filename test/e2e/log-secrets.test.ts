// What a client shows as its session never stands in the log, whatever place it is put in by
// mistake.

import { expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { login } from '../support/json-rpc.ts'
import { startServer } from '../support/server.ts'
import { asRoot, exportUrl, importUrl } from '../support/transfer.ts'
import { eventually } from '../support/wait.ts'

test('a session in the place of another parameter is cut short in the log', async () => {
  const server = await startServer()
  const rpc = await login(server)
  const { session } = rpc
  const bare = session.slice('OpaqueRef:'.length)
  const failed = (call: Promise<unknown>) => expect(call).rejects.toThrow(/^[A-Z_]+ \[/)
  await failed(rpc('VDI.destroy', session))
  await failed(rpc('VDI.destroy', bare))
  await failed(rpc('VDI.snapshot', session.toLowerCase()))
  await failed(rpc(`VDI.get_record?session_id=${session}`, session))
  await failed(rpc('user.create', { short_name: session, password: '' }))
  for (const vdi of [session, bare, `${session}x`]) {
    await curl(...asRoot, exportUrl(server, vdi, 'raw', { session_id: session }))
    await curl(...asRoot, exportUrl(server, vdi, session))
    await curl(...asRoot, exportUrl(server, bare, 'raw', { task_id: session }))
    await curl(...asRoot, '-d', 'x', '-X', 'PUT', importUrl(server, { vdi, format: 'raw' }))
    await curl(...asRoot, '-d', 'x', '-X', 'PUT', importUrl(server, { sr_id: vdi, task_id: vdi }))
  }
  const last = await login(server)
  await last('task.create', 'the last line', '')
  const log = await eventually('the last line', async () =>
    server.output().includes('"method":"task.create"') ? server.output() : undefined,
  )
  expect(log).toContain('HANDLE_INVALID')
  expect(log).toContain(`OpaqueRef:${bare.slice(0, 8)}-…`)
  // Not even a half of it.
  expect(log.toLowerCase()).not.toContain(bare.slice(0, 18))
  expect(log.toLowerCase()).not.toContain(bare.slice(18))
})
