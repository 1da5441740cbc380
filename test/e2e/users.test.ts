// `diskport user` as a process of its own, beside the server that runs on the same data folder.

import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { login } from '../support/json-rpc.ts'
import { rootPassword, startServer, type TestServer } from '../support/server.ts'
import { hasTool } from '../support/tools.ts'
import { within } from '../support/wait.ts'

const repository = resolve(import.meta.dirname, '../..')

interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

const runProgram = async (
  program: string,
  args: readonly string[],
  input: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Outcome> => {
  const child = spawn(program, args, { cwd: repository, env: { ...process.env, ...env } })
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (err += text))
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code: await within('diskport user to end', ended), out, err }
}

const user = ({ dataFolder }: TestServer, line: string, input = ''): Promise<Outcome> => {
  const args = ['src/main.ts', 'user', ...line.split(' '), '--data', dataFolder]
  return runProgram(process.execPath, args, input)
}

/**
 * What the server answers to a name and a password: 404 where they are right, for the VDI is not
 * there.
 */
const statusFor = async ({ url }: TestServer, name: string, password: string): Promise<number> => {
  const authorization = `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
  const answer = await fetch(`${url}/export_raw_vdi?vdi=none`, { headers: { authorization } })
  await answer.arrayBuffer()
  return answer.status
}

test('what it does, the running server knows at once', async () => {
  const server = await startServer()
  expect(await statusFor(server, 'ada', 'one')).toBe(401)
  expect(await user(server, 'add ada', 'one\n')).toEqual({
    code: 0,
    out: 'ada may log in now, with the role vm-admin\n',
    err: '',
  })
  expect(await statusFor(server, 'ada', 'one')).toBe(404)

  expect(await user(server, 'set-role ada read-only')).toMatchObject({ code: 0 })
  expect(await statusFor(server, 'ada', 'one')).toBe(403)
  expect((await user(server, 'list')).out).toMatch(/^read-only .* ada\npool-admin .* root\n$/)

  expect(await user(server, 'passwd ada', 'two')).toMatchObject({ code: 0 })
  expect(await statusFor(server, 'ada', 'one')).toBe(401)
  expect(await statusFor(server, 'ada', 'two')).toBe(403)

  expect(await user(server, 'remove ada')).toMatchObject({ code: 0 })
  expect(await statusFor(server, 'ada', 'two')).toBe(401)
  expect(await statusFor(server, 'root', rootPassword)).toBe(404)
})

test('a new password ends the sessions of the running server', async () => {
  const server = await startServer()
  const rpc = await login(server)
  expect(await rpc('session.get_uuid', rpc.session)).toMatch(/^[0-9a-f-]{36}$/)
  expect(await user(server, 'passwd root', 'another\n')).toMatchObject({ code: 0 })
  await expect(rpc('pool.get_all')).rejects.toMatchObject({ code: 'SESSION_INVALID' })
})

test.each([
  ['add', 64, /^diskport: It is "user add NAME"/],
  ['add ada --role god', 64, /^diskport: "god" is no role/],
  ['add ada --password pw', 64, /^diskport: .*--password/],
  ['add root', 1, /^diskport: There is a user root already\n$/],
  ['remove root', 1, /^diskport: The last user with the role pool-admin must stay\n$/],
  ['passwd root', 1, /^diskport: The password stays: no password came on standard input/],
])('user %s: exit code %i', async (line, code, expected) => {
  const server = await startServer()
  const outcome = await user(server, line)
  expect(outcome).toMatchObject({ code, out: '' })
  expect(outcome.err).toMatch(expected)
})

test('npm start -- user list', async () => {
  const server = await startServer()
  const args = ['start', '--silent', '--', 'user', 'list']
  const env = { DISKPORT_DATA: server.dataFolder }
  const { code, out } = await runProgram('npm', args, '', env)
  expect(code).toBe(0)
  expect(out).toMatch(/^pool-admin .* root\n$/)
})

/** Types as a person would, once each question is there; what the terminal has shown. */
const pythonTerminal = `
import os, pty, sys
program, answers = sys.argv[1:-1], sys.argv[-1].split('|')
pid, terminal = pty.fork()
if pid == 0: os.execvp(program[0], program)
shown = b''
def read():
    global shown
    try: chunk = os.read(terminal, 4096)
    except OSError: return False
    shown += chunk
    return chunk != b''
for answer in answers:
    start = len(shown)
    while not shown[start:].rstrip(b'\\r\\n').endswith(b': ') and read(): pass
    os.write(terminal, answer.encode() + b'\\r')
while read(): pass
print(shown.decode(), end='')
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`

describe.skipIf(!hasTool('python3'))('at a terminal', () => {
  const type = async (server: TestServer, answers: string): Promise<Outcome> => {
    const program = [process.execPath, 'src/main.ts', 'user', 'passwd', 'root']
    const data = ['--data', server.dataFolder]
    return runProgram('python3', ['-c', pythonTerminal, ...program, ...data, answers], '')
  }

  test('the password is asked for twice, and not shown', async () => {
    const server = await startServer()
    const { code, out } = await type(server, 'tühnel|tühnel')
    expect(out).toContain('New password of root: \r\nThe same again: \r\n')
    expect(out).not.toContain('hnel')
    expect(code).toBe(0)
    expect(await statusFor(server, 'root', 'tühnel')).toBe(404)
  })

  test.each([
    ['one|two', 'the second was not the same as the first'],
    ['\u0003', 'no password was given'],
    ['\u0004', 'no password was given'],
  ])('%j: the old one stays', async (answers, reason) => {
    const server = await startServer()
    const { code, out } = await type(server, answers)
    expect(out).toContain(`The password stays: ${reason}`)
    expect(code).toBe(1)
    expect(await statusFor(server, 'root', rootPassword)).toBe(404)
  })
})
