// The real server while its log cannot be written: it goes on serving, and stops in good order.

import { open } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { login } from '../support/json-rpc.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { eventually } from '../support/wait.ts'

const health = async (server: TestServer): Promise<Record<string, unknown>> =>
  (await (await fetch(`${server.url}/health`)).json()) as Record<string, unknown>

/** Makes lines in the log, and sees that the server still answers. */
const expectServing = async (server: TestServer): Promise<void> => {
  for (let count = 0; count < 3; count += 1) {
    const refused = await fetch(`${server.url}/export_raw_vdi?vdi=x`)
    expect(refused.status).toBe(401)
  }
  const rpc = await login(server)
  expect(await rpc('VDI.get_all')).toEqual([])
}

test('a log on a full disk: served, counted, stopped with status 0', async () => {
  const full = await open('/dev/full', 'w')
  onTestFinished(() => full.close())
  const server = await startServer({ standardError: full.fd })
  await expectServing(server)
  expect(await health(server)).toMatchObject({
    status: 'ok',
    dropped_log_lines: expect.any(Number),
  })
  expect(await server.stop()).toBe(0)
})

test('a log into a pipe that nobody reads any more: served, counted, stopped with status 0', async () => {
  const server = await startServer()
  expect(await health(server)).not.toHaveProperty('dropped_log_lines')
  server.closeStandardError()
  await eventually('a line to be dropped', async () => {
    await expectServing(server)
    return (await health(server))['dropped_log_lines']
  })
  expect(await server.stop()).toBe(0)
})
