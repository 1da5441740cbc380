// xe's side of a session against a server of the test that says what no honest server would.

import { readFile, stat, writeFile } from 'node:fs/promises'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createFiles } from '../../../../src/cli/client/files.ts'
import { readOptions } from '../../../../src/cli/client/options.ts'
import { runSession } from '../../../../src/cli/client/run-session.ts'
import type { MessageStream } from '../../../../src/cli/message-stream.ts'
import { createMessageStream } from '../../../../src/cli/message-stream.ts'
import type { Message } from '../../../../src/cli/protocol.ts'
import { createTestFolder } from '../../../support/tools.ts'
import { within } from '../../../support/wait.ts'

const asking = /^(?:httpGet|httpPut|load|prompt|httpConnect)$/

/**
 * Says `messages`, answers any other connection with `http`, and takes down what the client says.
 */
const startServer = async (messages: readonly Message[], http = '') => {
  const answers: Message[] = []
  const asked = messages.filter(({ kind }) => asking.test(kind)).length
  const answered = Promise.withResolvers<Message[]>()
  const requests: string[] = []
  const serve = async (stream: MessageStream): Promise<void> => {
    stream.sendPreamble()
    await stream.receivePreamble()
    for (const message of messages) {
      stream.send(message)
      if (!asking.test(message.kind)) continue
      answers.push(await stream.receive())
      if (answers.length === asked) answered.resolve(answers)
    }
  }
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => {})
    const stream = createMessageStream(socket, 1 << 20)
    const answer = async (): Promise<void> => {
      let head = ''
      while (!head.endsWith('\r\n\r\n')) head += (await stream.readBytes(1)).toString('latin1')
      requests.push(head)
      if (!head.startsWith('POST /cli ')) {
        socket.end(http)
        return
      }
      await stream.readBytes(Number(/content-length: (\d+)/.exec(head)![1]))
      await serve(stream)
    }
    answer().catch(() => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  return {
    port,
    get answers() {
      return within('the answers', answered.promise)
    },
    requests,
  }
}

const runXe = async (port: number, ...args: string[]) => {
  const io = { input: new PassThrough(), output: new PassThrough(), errors: new PassThrough() }
  io.input.end('yes\nno\n')
  const files = createFiles(args)
  const options = readOptions(['-p', String(port), ...args], '', '')
  const code = await within('xe', runSession(options, 'pw', files, io))
  const text = (stream: PassThrough): string => String((stream.read() as Buffer | null) ?? '')
  return { code, out: text(io.output), err: text(io.errors), files }
}

const exit = { kind: 'exit', code: 0 } as const

describe('what the server says', () => {
  test('control characters are shown as such, and cannot move the cursor', async () => {
    const evil = 'a\x1b[2Jb\x07\x9b31m\x7f\u202e\r\nnext\tline'
    const safe = 'a\\x1b[2Jb\\x07\\x9b31m\\x7f\\u202e\\x0d\nnext\tline'
    const server = await startServer([
      { kind: 'print', text: evil },
      { kind: 'printStderr', text: `${evil}\n` },
      { kind: 'error', code: evil, params: [evil] },
      { kind: 'debug', text: evil },
      exit,
    ])
    const { out, err } = await runXe(server.port, '--debug', 'vdi-list')
    expect(out).toBe(`${safe}\n`)
    expect(err).toBe(
      `${safe}\nError code: ${safe}\nError parameters: ${safe}\ndebug from server: ${safe}\n`,
    )
  })

  test('a bar may go back to the start of its line', async () => {
    const server = await startServer([{ kind: 'printStderr', text: '\r[*] 50%\r' }, exit])
    expect((await runXe(server.port, 'vdi-import')).err).toBe('\r[*] 50%\\x0d')
  })

  test('a file name that it asks for is not believed, nor printed as it is', async () => {
    const load = { kind: 'load', fileName: '/etc/\x1b[8mpasswd' } as const
    const server = await startServer([load, exit])
    const { err } = await runXe(server.port, 'vdi-import')
    expect(err).toContain('the file /etc/\\x1b[8mpasswd')
  })
})

describe('what the server asks for', () => {
  test.each([
    { kind: 'httpGet', fileName: '/tmp/other', url: '/x' },
    { kind: 'httpPut', fileName: '/etc/hostname', url: '/x' },
    { kind: 'load', fileName: '/etc/hostname' },
  ] as const)('a file that the user did not name is not touched: %j', async (message) => {
    const whole = 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx'
    const server = await startServer([message, { ...exit, code: 1 }], whole)
    const { code, err } = await runXe(server.port, 'vdi-export', 'filename=/tmp/mine')
    expect(code).toBe(1)
    expect(err).toContain(
      `Blocked: the server asked for the file ${message.fileName}, which is not on the command line`,
    )
    expect(await server.answers).toEqual([{ kind: 'failed' }])
    await expect(stat('/tmp/other')).rejects.toThrow('ENOENT')
  })

  test('a file that came short is told with both lengths, and can be removed', async () => {
    const target = join(await createTestFolder(), 'out')
    const get = { kind: 'httpGet', fileName: target, url: '/x?y' } as const
    const short = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'
    const server = await startServer([get, exit], short)
    const { requests } = server
    const { code, err, files } = await runXe(server.port, 'vdi-export', `filename=${target}`)
    expect(code).toBe(1)
    expect(err).toBe('Operation failed. Error: the server announced 10 bytes and sent 3\n')
    expect(await server.answers).toEqual([{ kind: 'failed' }])
    expect(requests[1]).toBe('GET /x?y HTTP/1.0\r\n\r\n')
    expect(files.removeCreated()).toEqual([target])
    await expect(stat(target)).rejects.toThrow('ENOENT')
  })

  test.each([
    ['with a length', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc', 'ok', 'abc'],
    ['without one', 'HTTP/1.0 200 OK\r\n\r\nabc', 'ok', 'abc'],
    ['not found', 'HTTP/1.1 404 Not Found\r\n\r\nabc', 'failed', ''],
    ['not HTTP', 'abc\r\n\r\n', 'failed', ''],
    ['round and round', 'HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n', 'failed', ''],
  ])('a download %s', async (_, http, answer, expected) => {
    const get = { kind: 'httpGet', fileName: '', url: '/x' } as const
    const server = await startServer([get, exit], http)
    expect(await runXe(server.port, 'vdi-export', 'filename=-')).toMatchObject({
      code: 0,
      out: expected,
    })
    expect(await server.answers).toEqual([{ kind: answer }])
  })

  test('a file to load, and a line of standard input', async () => {
    const name = join(await createTestFolder(), 'in')
    await writeFile(name, 'content')
    const server = await startServer([{ kind: 'prompt' }, exit])
    expect(await runXe(server.port, 'x', `filename=${name}`)).toMatchObject({ code: 0 })
    expect(await server.answers).toEqual([{ kind: 'chunk', length: 3 }])
    const loading = await startServer([{ kind: 'load', fileName: name }, exit])
    expect(await runXe(loading.port, 'x', `filename=${name}`)).toMatchObject({ code: 0, err: '' })
    expect(await loading.answers).toEqual([{ kind: 'ok' }])
    expect(await readFile(name, 'utf8')).toBe('content')
  })

  test('messages, and the exit code', async () => {
    const server = await startServer([
      { kind: 'print', text: 'out' },
      { kind: 'printStderr', text: 'err' },
      { kind: 'debug', text: 'unseen' },
      { kind: 'error', code: 'CODE', params: ['a', 'b'] },
      { kind: 'exit', code: 7 },
    ])
    expect(await runXe(server.port, 'x')).toMatchObject({
      code: 7,
      out: 'out\n',
      err: 'errError code: CODE\nError parameters: a, b\n',
    })
  })

  test('what only a client says is refused', async () => {
    const server = await startServer([{ kind: 'ok' }])
    await expect(runXe(server.port, 'x')).rejects.toThrow('Unexpected message from server: ok')
  })
})

describe('options', () => {
  test('the command line counts most, then the environment, then the file', () => {
    const rc = '# mine\nserver=rc\nport=1\nusername=rc\npassword=rc\nother=rc\n'
    const extra = 'server=env,port=2,username=env,--debug,x=a\\,b'
    expect(readOptions(['-s', 'argv', 'vdi-list', 'password=a=b'], extra, rc)).toEqual({
      server: 'argv',
      port: 2,
      useTls: true,
      authorityFile: undefined,
      username: 'env',
      password: 'a=b',
      passwordFile: undefined,
      debug: true,
      args: ['vdi-list', 'x=a,b', 'other=rc'],
    })
  })

  test('this machine, and --nossl, go without TLS', () => {
    expect(readOptions([], '', '')).toMatchObject({ server: '127.0.0.1', useTls: false })
    expect(readOptions(['-s', 'far'], '', '')).toMatchObject({ useTls: true, port: undefined })
    expect(readOptions(['-s', 'far', '--nossl'], '', '')).toMatchObject({ useTls: false })
  })
})
