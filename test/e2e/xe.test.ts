// Our xe as a process against the real server, the way a stranger would use it; and an upload by
// Python that speaks HTTP/1.0 and tells no length.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { formatNames } from '../../src/format-table.ts'
import { createVdi as createVdiByRpc, login } from '../support/json-rpc.ts'
import { rootPassword, shareServer, startServer } from '../support/server.ts'
import { convertSource, createRawSource, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'
import { eventually, within } from '../support/wait.ts'
import { createXe, runXe, xeOptions, xeProgram } from '../support/xe-program.ts'

const server = await shareServer()
const options = xeOptions(server)
const { xe, ask } = createXe(server)

const createVdi = async (size = '25MiB'): Promise<string> => {
  const sr = await ask('sr-list', '--minimal')
  return ask('vdi-create', `sr-uuid=${sr}`, 'name-label=a', `virtual-size=${size}`)
}

describe.skipIf(!hasTool('qemu-img'))('a stranger with xe', () => {
  test.each(formatNames)('imports %s and exports all formats, with a bar', async (format) => {
    const folder = await createTestFolder()
    const raw = await createRawSource(folder, 'source.raw', { size: 25 << 20 })
    const image = await convertSource(raw, format)
    const vdi = await createVdi()
    const imported = await xe(
      'vdi-import',
      `uuid=${vdi}`,
      `filename=${image}`,
      `format=${format}`,
      '--progress',
    )
    expect(imported).toMatchObject({ code: 0, out: '' })
    expect(imported.err).toMatch(/\(100% ETA 00:00:00\) *\nTotal time: /)
    for (const wanted of formatNames) {
      const target = join(folder, `out.${wanted}`)
      const args = [`uuid=${vdi}`, `filename=${target}`, `format=${wanted}`, '--progress']
      expect(await xe('vdi-export', ...args)).toMatchObject({ code: 0, out: '' })
      await expectSameGuest([target, wanted], [raw, 'raw'])
    }
    expect(await ask('task-list')).toBe('')
  })

  test.each([
    ['-', '-', 'cat'],
    ['/dev/stdin', '/dev/stdout', 'cat'],
    ['/dev/stdin', '', '<'],
  ])('pipes: from filename=%s, to filename=%s, fed by %s', async (input, output, how) => {
    const raw = await createRawSource(await createTestFolder(), 'source.raw', { size: 25 << 20 })
    const vhd = await convertSource(raw, 'vhd')
    const vdi = await createVdi()
    const call = [process.execPath, xeProgram, ...options].map((word) => `'${word}'`).join(' ')
    const source = how === '<' ? `< '${vhd}'` : `cat '${vhd}' |`
    const into = `${source} ${call} vdi-import uuid=${vdi} filename=${input} format=vhd`
    const back = `${call} vdi-export uuid=${vdi} filename=${output} | cmp - '${raw}'`
    const { stdout } = await run('bash', ['-o', 'pipefail', '-c', `${into} && ${back}`])
    expect(stdout).toBe('')
  })

  test('an import that brings nothing, or ends early, is exit 1, and the VDI stays', async () => {
    const folder = await createTestFolder()
    const raw = await createRawSource(folder, 'source.raw', { size: 25 << 20 })
    const vdi = await createVdi()
    await ask('vdi-import', `uuid=${vdi}`, `filename=${raw}`)
    const empty = join(folder, 'empty')
    await writeFile(empty, '')
    const nothing = await xe('vdi-import', `uuid=${vdi}`, `filename=${empty}`)
    expect(nothing).toMatchObject({ code: 1, out: '' })
    expect(nothing.err).toMatch(/no byte came/)

    const call = [process.execPath, xeProgram, ...options].map((word) => `'${word}'`).join(' ')
    const pipe = async (from: string, ...more: string[]): Promise<string> => {
      const line = `${from} | ${call} vdi-import uuid=${vdi} filename=- ${more.join(' ')} 2>&1`
      return (await run('bash', ['-c', `${line}; echo "exit $?"`])).stdout
    }
    expect(await pipe('true')).toMatch(/no byte came[^]*exit 1\n$/)
    // The producer dies in the middle; what it wrote differs from what lies there.
    const dying = `(head -c 9000000 /dev/urandom; kill -9 $BASHPID)`
    expect(await pipe(dying)).toMatch(/ended after 9000000 of 26214400 bytes[^]*exit 1\n$/)
    const back = join(folder, 'back.raw')
    await ask('vdi-export', `uuid=${vdi}`, `filename=${back}`)
    await expectSameGuest([back, 'raw'], [raw, 'raw'])

    expect(await pipe(`head -c 9000000 '${raw}'`, 'short=true')).toBe('exit 0\n')
    expect(await pipe(`cat '${raw}'`)).toBe('exit 0\n')
  })

  test('sm-list shows the formats', async () => {
    const { out } = await xe('sm-list', 'params=all')
    expect(out).toMatch(/^ +supported-image-formats \( RO\): .*\bqcow2\b/m)
    const shown = await ask('vdi-list', `uuid=${await createVdi('1GiB')}`, 'params=virtual-size')
    expect(shown).toMatch(/^virtual-size \( RO\) +: 1073741824$/)
  })

  test('an import in a format that is not known lists those that are', async () => {
    const raw = await createRawSource(await createTestFolder(), 'source.raw', { size: 1 << 20 })
    const vdi = await createVdi()
    const answer = await xe('vdi-import', `uuid=${vdi}`, `filename=${raw}`, 'format=qed')
    expect(answer).toMatchObject({ code: 1, out: '' })
    expect(answer.err).toMatch(/^The value "qed" of format: must be one of raw, vhd, qcow2/)
  })

  test('without format= an image is refused by name, a raw disk imported', async () => {
    const raw = await createRawSource(await createTestFolder(), 'source.raw', { size: 25 << 20 })
    const vdi = await createVdi()
    for (const format of ['qcow2', 'vhd'] as const) {
      const image = await convertSource(raw, format)
      const answer = await xe('vdi-import', `uuid=${vdi}`, `filename=${image}`)
      expect(answer).toMatchObject({ code: 1, out: '' })
      expect(answer.err).toContain(`say format=${format}, or format=raw to store it as it is`)
    }
    expect(await xe('vdi-import', `uuid=${vdi}`, `filename=${raw}`)).toMatchObject({ code: 0 })
    const target = join(await createTestFolder(), 'out.raw')
    expect(await xe('vdi-export', `uuid=${vdi}`, `filename=${target}`)).toMatchObject({ code: 0 })
    await expectSameGuest([target, 'raw'], [raw, 'raw'])
  })

  test('the reason of a failure is shown, and no half file stays', async () => {
    const folder = await createTestFolder()
    const vdi = await createVdi()
    const garbage = join(folder, 'garbage')
    await writeFile(garbage, Buffer.alloc(1 << 20, 7))
    const bad = await xe('vdi-import', `uuid=${vdi}`, `filename=${garbage}`, 'format=qcow2')
    expect(bad).toMatchObject({ code: 1, out: '' })
    expect(bad.err).toMatch(/^Cannot decode qcow2: .*\n$/)

    const target = join(folder, 'out')
    const unknown = await xe('vdi-export', `uuid=${vdi}`, `filename=${target}`, 'format=vmdk9')
    expect(unknown).toMatchObject({ code: 1 })
    expect(unknown.err).toMatch(/^The value "vmdk9" of format: must be one of raw, vhd, qcow2/)
    await expect(stat(target)).rejects.toThrow('ENOENT')

    const there = await xe('vdi-export', `uuid=${vdi}`, `filename=${garbage}`)
    expect(there).toMatchObject({ code: 1 })
    expect(there.err).toContain('file already exists')
    expect(await readFile(garbage)).toHaveLength(1 << 20)

    const missing = await xe('vdi-import', `uuid=${vdi}`, `filename=${target}`)
    expect(missing).toMatchObject({ code: 1 })
    expect(missing.err).toContain(`Cannot read the file '${target}'`)
    expect(await ask('task-list')).toBe('')
  })
})

test('a server that is told to stop lets an import of xe end well', async () => {
  const stopping = await startServer()
  const rpc = await login(stopping)
  const vdi = await createVdiByRpc(rpc, 24 << 20)
  const where = [
    '-s',
    stopping.host,
    '-p',
    String(stopping.port),
    '-u',
    'root',
    '-pw',
    rootPassword,
  ]
  const args = [xeProgram, ...where, 'vdi-import', `uuid=${vdi.uuid}`, 'filename=-', '--progress']
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  child.stdin.on('error', () => {})
  const drawn = new Promise<void>((resolve) => child.stderr.once('data', () => resolve()))
  child.stdin.write(randomBytes(16 << 20))
  await within('some progress', drawn)
  stopping.terminate()
  await eventually('the server to take nobody new', async () =>
    stopping.output().includes('"msg":"stopping"') ? true : undefined,
  )
  child.stdin.end(randomBytes(8 << 20))
  expect(await within('xe to end', ended)).toBe(0)
  expect(await within('the server to end', stopping.exited)).toBe(0)
})

test('a parameter that is nearly right is named on standard error, and the transfer goes on', async () => {
  const vdi = await createVdi('1MiB')
  const target = join(await createTestFolder(), 'out')
  const { code, err } = await xe('vdi-export', `uuid=${vdi}`, `filename=${target}`, 'bse=x')
  expect(err).toBe(
    'Warning: vdi-export does not know the parameter "bse" and ignores it: did you mean base?\n',
  )
  expect(code).toBe(0)
  const imported = await xe('vdi-import', `uuid=${vdi}`, `filename=${target}`, 'fromat=raw')
  expect(imported).toMatchObject({
    code: 0,
    err: expect.stringContaining('mean format?') as string,
  })
})

describe('how xe is called', () => {
  const where = [`-s`, server.host, '-p', String(server.port)]

  test('XE_EXTRA_ARGS, ~/.xe and a password file', async () => {
    const home = await createTestFolder()
    const place = `server=${server.host},port=${server.port}`
    const extra = { XE_EXTRA_ARGS: `${place},username=root,password=${rootPassword}` }
    expect(await runXe(['sm-list', '--minimal'], extra)).toMatchObject({ code: 0, err: '' })
    await writeFile(
      join(home, '.xe'),
      `server=${server.host}\nport=${server.port}\nusername=root\npassword=${rootPassword}\n`,
    )
    expect(await runXe(['sm-list', '--minimal'], { HOME: home })).toMatchObject({ code: 0 })
    // What is said later counts more.
    const wrong = { HOME: home, XE_EXTRA_ARGS: 'password=wrong' }
    expect(await runXe(['sm-list'], wrong)).toMatchObject({ code: 1 })
    expect(await runXe(['sm-list', `password=${rootPassword}`], wrong)).toMatchObject({ code: 0 })
    const file = join(home, 'pw')
    await writeFile(file, `root\n${rootPassword}\n`)
    expect(await runXe([...where, '-pwf', file, 'sm-list'])).toMatchObject({ code: 0 })
  })

  test.each([
    [[...where, '-u', 'root', '-pw', 'no', 'sm-list'], 1, /^Authentication failed\n/],
    [[...where, 'sm-list'], 1, /^Authentication failed\n/],
    [
      [...where, '-pw', rootPassword, 'sm-lst'],
      1,
      /^Unknown command: sm-lst\nFor usage run: 'xe help'\n$/,
    ],
    [['-p', '99999', 'sm-list'], 1, /^Port number must be an integer \(0-65535\), not "99999"\n/],
    [['-p'], 1, /^-p must be followed by a value\n/],
    [[], 0, /^Usage: xe /],
    [['-p', '1', 'sm-list'], 1, /^Error: connect ECONNREFUSED 127\.0\.0\.1:1\n$/],
    [['-s', server.host, '-pwf', '/nowhere', 'sm-list'], 1, /^Error opening password file/],
  ])('%j', async (args, code, expected) => {
    const outcome = await runXe(args)
    expect(outcome.err).toMatch(expected)
    expect(outcome).toMatchObject({ code, out: '' })
  })
})

const pythonUpload = `
import socket, sys
host, port, target, path, auth = sys.argv[1:]
connection = socket.create_connection((host, int(port)), timeout=60)
connection.sendall(('PUT %s HTTP/1.0\\r\\nAuthorization: Basic %s\\r\\n\\r\\n' % (target, auth)).encode())
head = b''
while not head.endswith(b'\\r\\n\\r\\n'):
    byte = connection.recv(1)
    if not byte: sys.exit('no head: %r' % head)
    head += byte
if not head.startswith(b'HTTP/1.1 200'): sys.exit(head.decode())
with open(path, 'rb') as image:
    while block := image.read(100_000): connection.sendall(block)
connection.shutdown(socket.SHUT_WR)
answer = b''
while block := connection.recv(4096): answer += block
print(answer.decode(), end='')
`

describe.skipIf(!hasTool('python3') || !hasTool('qemu-img'))('Python, HTTP/1.0, no length', () => {
  test.each(formatNames)('%s', async (format) => {
    const folder = await createTestFolder()
    const raw = await createRawSource(folder, 'source.raw', { size: 25 << 20 })
    const image = await convertSource(raw, format)
    const vdi = await createVdi()
    const auth = Buffer.from(`root:${rootPassword}`).toString('base64')
    const target = `/import_raw_vdi?vdi=${vdi}&format=${format}`
    const args = ['-c', pythonUpload, server.host, String(server.port), target, image, auth]
    expect((await run('python3', args)).stdout).toBe(`${vdi}\n`)
    const out = join(folder, 'out.raw')
    expect(await xe('vdi-export', `uuid=${vdi}`, `filename=${out}`)).toMatchObject({ code: 0 })
    await expectSameGuest([out, 'raw'], [raw, 'raw'])
  })
})
