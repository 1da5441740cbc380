// Starting and stopping: settings, the line on standard output, the password, the health check.

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { login } from '../support/json-rpc.ts'
import { rootPassword, startServer } from '../support/server.ts'
import { createTestFolder } from '../support/tools.ts'

const main = resolve(import.meta.dirname, '../../src/main.ts')

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program where it should end by itself. */
const runMain = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> =>
  new Promise((resolve) =>
    execFile(
      process.execPath,
      [main, ...args],
      { env: { ...process.env, ...env }, timeout: 30_000 },
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
    ),
  )

const health = (url: string): Promise<number> =>
  fetch(`${url}/health`).then(async (answer) => {
    await answer.arrayBuffer()
    return answer.status
  })

const logIn = (url: string, password: string): Promise<number> =>
  fetch(`${url}/export_raw_vdi?vdi=none`, {
    headers: { authorization: `Basic ${Buffer.from(`root:${password}`).toString('base64')}` },
  }).then(async (answer) => {
    await answer.arrayBuffer()
    return answer.status
  })

test('standard output has one line, which says where it listens; SIGTERM ends with 0', async () => {
  const server = await startServer()
  expect(await health(server.url)).toBe(200)
  expect(await server.stop()).toBe(0)
  expect(server.standardOutput()).toBe(`diskport listens on ${server.url}\n`)
})

test('all that it logs on standard error is JSON, a line each', async () => {
  const server = await startServer({ args: ['--log-level', 'debug'] })
  await login(server)
  await server.stop()
  const logged = server.output().replace(server.standardOutput(), '').trimEnd().split('\n')
  expect(logged.length).toBeGreaterThan(1)
  for (const line of logged) expect(JSON.parse(line)).toHaveProperty('msg')
  expect(server.output()).not.toContain(rootPassword)
})

test('the catalog and a first SR are in the data folder, which nobody else may read', async () => {
  const server = await startServer()
  const rpc = await login(server)
  expect(await readdir(server.dataFolder)).toEqual(expect.arrayContaining(['catalog.db', 'sr']))
  const srs = Object.values(
    await rpc<Record<string, { uuid: string; name_label: string; type: string }>>(
      'SR.get_all_records',
    ),
  )
  expect(srs).toHaveLength(1)
  expect(srs[0]).toMatchObject({ name_label: 'Local storage', type: 'file' })
  expect(await readdir(join(server.dataFolder, 'sr'))).toEqual([srs[0]!.uuid])
  const [pool] = Object.values(
    await rpc<Record<string, { default_SR: string }>>('pool.get_all_records'),
  )
  expect(Object.keys(await rpc<object>('SR.get_all_records'))).toContain(pool!.default_SR)
  const { mode } = await stat(join(server.dataFolder, 'catalog.db'))
  expect(mode & 0o077).toBe(0)
})

test('the environment does what options do; options come first', async () => {
  const folder = await createTestFolder()
  const env = {
    DISKPORT_LISTEN: '127.0.0.1:1234',
    DISKPORT_DATA: folder,
    DISKPORT_LOG_LEVEL: 'warn',
    DISKPORT_MAX_TRANSFERS: '3',
  }
  const { code, stdout } = await runMain(['--show-config', '--max-transfers', '5'], env)
  expect(code).toBe(0)
  for (const value of ['127.0.0.1:1234', folder, 'warn', '5']) expect(stdout).toContain(value)
  expect(await readdir(folder)).toEqual([])
})

test('all bad settings are reported at once, and nothing is begun', async () => {
  const folder = await createTestFolder()
  const args = ['--listen', 'nowhere', '--max-transfers', '0', '--data', join(folder, 'data')]
  const { code, stdout, stderr } = await runMain(args, { DISKPORT_LOG_LEVEL: 'loud' })
  expect(code).not.toBe(0)
  expect(stdout).toBe('')
  for (const word of ['--listen', 'nowhere', '--max-transfers', 'DISKPORT_LOG_LEVEL', 'loud']) {
    expect(stderr).toContain(word)
  }
  expect(await readdir(folder)).toEqual([])
})

test.runIf(process.platform === 'linux')(
  'a data folder in /proc is refused with a sentence, and does not hang',
  async () => {
    const { code, stdout, stderr } = await runMain(['--listen', '127.0.0.1:0', '--data', '/proc/x'])
    expect([code, stdout]).toEqual([69, ''])
    expect(stderr).toBe(
      'diskport: The data folder cannot be /proc/x: it lies on a special file system (proc), which keeps no files; name a folder on a disk with --data\n',
    )
  },
)

test('a port that is taken is said in words', async () => {
  const server = await startServer()
  const folder = await createTestFolder()
  const { code, stderr } = await runMain(['--listen', `127.0.0.1:${server.port}`, '--data', folder])
  expect(code).not.toBe(0)
  expect(stderr).toContain(String(server.port))
  expect(stderr).not.toMatch(/^\s+at /m)
})

test('two servers on one data folder: the second is refused', async () => {
  const server = await startServer()
  const { code, stderr } = await runMain(['--listen', '127.0.0.1:0', '--data', server.dataFolder])
  expect(code).not.toBe(0)
  expect(stderr).toContain(server.dataFolder)
  expect(await health(server.url)).toBe(200)
})

test('without a password one is made at the first start and shown once', async () => {
  const dataFolder = await mkdtemp(join(tmpdir(), 'diskport-data-'))
  const env = { DISKPORT_ROOT_PASSWORD: undefined }
  const first = await startServer({ dataFolder, env })
  const words = first.output().split(/[\s"\\]+/)
  const statuses = new Map<string, number>()
  for (const word of words.filter((text) => /^[\w-]{12,}$/.test(text))) {
    statuses.set(word, await logIn(first.url, word))
  }
  const [password, ...others] = [...statuses].filter(([, status]) => status !== 401)
  expect(password).toBeDefined()
  expect(others).toEqual([])
  await first.stop()

  const second = await startServer({ dataFolder, env })
  expect(second.output()).not.toContain(password![0])
  expect(await logIn(second.url, password![0])).not.toBe(401)
})

test('DISKPORT_ROOT_PASSWORD replaces the password of an earlier start', async () => {
  const dataFolder = await mkdtemp(join(tmpdir(), 'diskport-data-'))
  const first = await startServer({ dataFolder })
  expect(await logIn(first.url, rootPassword)).not.toBe(401)
  await first.stop()
  const second = await startServer({ dataFolder, env: { DISKPORT_ROOT_PASSWORD: 'another one' } })
  expect(await logIn(second.url, 'another one')).not.toBe(401)
  expect(await logIn(second.url, rootPassword)).toBe(401)
})
