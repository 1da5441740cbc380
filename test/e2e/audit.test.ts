// The audit of transfers, as it stands in the log of the real server.

import { expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { login } from '../support/json-rpc.ts'
import { startServer } from '../support/server.ts'
import { createRawSource } from '../support/sources.ts'
import { createTestFolder } from '../support/tools.ts'
import { download, exportUrl, uploadNew } from '../support/transfer.ts'
import { eventually } from '../support/wait.ts'

test('each import and export has a line: who, which disk, and what came of it', async () => {
  const server = await startServer()
  const rpc = await login(server)
  await rpc('user.create', { short_name: 'eve', password: 'eve-pw' })
  const uuid = await uploadNew(server, await createRawSource(await createTestFolder()), 'raw')
  await download(server, uuid, 'raw')
  await curl('-u', 'eve:eve-pw', exportUrl(server, uuid, 'raw'))
  const lines = (): string[] =>
    server
      .output()
      .split('\n')
      .filter((line) => line.includes('"http/'))
      .map((line) => JSON.stringify((JSON.parse(line) as { audit: object }).audit))
  const three = await eventually('three lines', async () =>
    lines().length === 3 ? lines() : undefined,
  )
  const line = (user: string, method: string, outcome: string, object = {}) =>
    JSON.stringify({ user, method: `http/${method}`, ...object, outcome })
  expect(three).toEqual([
    line('root', 'put_import_raw_vdi', 'success', { object: uuid }),
    line('root', 'get_export_raw_vdi', 'success', { object: uuid }),
    line('eve', 'get_export_raw_vdi', 'RBAC_PERMISSION_DENIED'),
  ])
  expect(server.output()).not.toContain('eve-pw')
})
