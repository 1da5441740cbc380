// Exports that are compressed on their way, as curl and a few others ask for them; and those that
// do not ask.

import { readFile, stat } from 'node:fs/promises'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatNames } from '../../src/format-table.ts'
import { curl } from '../support/curl.ts'
import { expectSameBytes } from '../support/disks.ts'
import { createVdi, login, type TaskRecord } from '../support/json-rpc.ts'
import { connectRaw } from '../support/raw-client.ts'
import { rootPassword, shareServer } from '../support/server.ts'
import { createRawSource } from '../support/sources.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'
import { asRoot, download, expectStatus, exportUrl, uploadNew } from '../support/transfer.ts'
import { eventually } from '../support/wait.ts'

const server = await shareServer()

const create = async (): Promise<string> =>
  uploadNew(server, await createRawSource(await createTestFolder()), 'raw')

const accept = (header: string): string[] => ['-H', `Accept-Encoding: ${header}`]

const deliberate = (coding: string): string[] => accept(`${coding}, identity;q=0.1`)

const undo = { gzip: gunzipSync, zstd: zstdDecompressSync } as const

describe.skipIf(!hasTool('curl'))('Accept-Encoding', () => {
  test.each(
    formatNames.flatMap((format) =>
      (['gzip', 'zstd'] as const).map((name) => [format, name] as const),
    ),
  )('%s in %s is the image, in chunks', async (format, coding) => {
    const uuid = await create()
    const whole = await download(server, uuid, format)
    const answer = await curl(...asRoot, ...deliberate(coding), exportUrl(server, uuid, format))
    await expectStatus(answer, 200)
    expect(answer.exitCode).toBe(0)
    const { headers } = answer
    expect(headers.get('content-encoding')).toBe(coding)
    expect(headers.get('vary')).toBe('Accept-Encoding')
    expect(headers.get('transfer-encoding')).toBe('chunked')
    expect(headers.get('content-length')).toBeUndefined()
    expect(headers.get('accept-ranges')).toBe('none')
    expect(headers.get('etag')).toBe(`W/${whole.headers.get('etag')}`)
    expect(headers.get('content-type')).toBe(whole.headers.get('content-type'))
    expect(answer.downloaded).toBeLessThan((await stat(whole.bodyFile)).size)
    const packed = await readFile(answer.bodyFile)
    expectSameBytes(undo[coding](packed), await readFile(whole.bodyFile))
  })

  test('curl --compressed gets it by its word, and without it what it always got', async () => {
    const uuid = await create()
    const whole = await readFile((await download(server, uuid, 'raw')).bodyFile)
    for (const [more, isCoded] of [
      [{}, false],
      [{ negotiate: 'true' }, true],
    ] as const) {
      const url = exportUrl(server, uuid, 'raw', more)
      const answer = await curl(...asRoot, '--compressed', url)
      await expectStatus(answer, 200)
      expect(answer.headers.has('content-encoding')).toBe(isCoded)
      expect(answer.headers.has('content-length')).toBe(!isCoded)
      expect(answer.headers.get('vary')).toBe('Accept-Encoding')
      expectSameBytes(await readFile(answer.bodyFile), whole)
    }
  })

  test('a part comes as it is, with its length', async () => {
    const uuid = await create()
    const whole = await readFile((await download(server, uuid, 'raw')).bodyFile)
    const url = exportUrl(server, uuid, 'raw')
    const answer = await curl(...asRoot, ...deliberate('zstd'), '-r', '100-199', url)
    await expectStatus(answer, 206)
    expect(answer.headers.get('content-length')).toBe('100')
    expect(answer.headers.has('content-encoding')).toBe(false)
    expectSameBytes(await readFile(answer.bodyFile), whole.subarray(100, 200))

    // If-Range never takes a weak tag: the whole, as it is.
    const { headers } = await curl(...asRoot, ...deliberate('zstd'), '--head', url)
    const weak = ['-H', `If-Range: ${headers.get('etag')}`, '-r', '100-199']
    await expectStatus(await curl(...asRoot, ...weak, url), 200)

    // Where identity is not acceptable there are no parts.
    const none = await curl(...asRoot, ...accept('gzip, identity;q=0'), '-r', '100-199', url)
    await expectStatus(none, 200)
    expectSameBytes(gunzipSync(await readFile(none.bodyFile)), whole)
  })

  test('HEAD says what GET would, without a length', async () => {
    const uuid = await create()
    const url = exportUrl(server, uuid, 'vhd')
    const head = await curl(...asRoot, ...deliberate('gzip'), '--head', url)
    const answer = await curl(...asRoot, ...deliberate('gzip'), url)
    await expectStatus(head, 200)
    for (const name of ['etag', 'content-encoding', 'accept-ranges', 'vary', 'content-length']) {
      expect(head.headers.get(name)).toBe(answer.headers.get(name))
    }
  })

  test('conditions hold for either tag', async () => {
    const uuid = await create()
    const url = exportUrl(server, uuid, 'vhd')
    const etag = (await curl(...asRoot, '--head', url)).headers.get('etag')!
    for (const tag of [etag, `W/${etag}`]) {
      const condition = ['-H', `If-None-Match: ${tag}`]
      for (const more of [[], deliberate('zstd')]) {
        const answer = await curl(...asRoot, ...condition, ...more, url)
        await expectStatus(answer, 304)
        expect(answer.headers.get('vary')).toBe('Accept-Encoding')
      }
    }
    const match = (tag: string) =>
      curl(...asRoot, '-H', `If-Match: ${tag}`, ...deliberate('zstd'), url)
    await expectStatus(await match(etag), 200)
    await expectStatus(await match('"other"'), 412)
  })

  test('406 where nothing acceptable remains', async () => {
    const uuid = await create()
    const url = exportUrl(server, uuid, 'raw')
    const refused = await curl(...asRoot, ...accept('br, identity;q=0'), url)
    await expectStatus(refused, 406)
    expect(refused.headers.get('vary')).toBe('Accept-Encoding')
    expect(await refused.text()).toContain('zstd, gzip and identity')
  })

  test('HTTP/1.0 gets identity; where that is not acceptable it is refused without a task', async () => {
    const uuid = await create()
    const url = exportUrl(server, uuid, 'raw')
    const answer = await curl(...asRoot, '--http1.0', ...deliberate('gzip'), url)
    await expectStatus(answer, 200)
    expect(answer.headers.has('content-length')).toBe(true)
    const only = accept('gzip, identity;q=0')
    const refused = await curl(...asRoot, '--http1.0', ...only, url)
    await expectStatus(refused, 400)
    expect(await refused.text()).toContain('use HTTP/1.1, or name a task_id')
    const rpc = await login(server)
    const task = await rpc<string>('task.create', 'download', '')
    const named = exportUrl(server, uuid, 'raw', { task_id: task })
    const told = await curl(...asRoot, '--http1.0', ...only, named)
    await expectStatus(told, 200)
    const whole = await readFile(answer.bodyFile)
    expectSameBytes(gunzipSync(await readFile(told.bodyFile)), whole)
    expect((await rpc<TaskRecord>('task.get_record', task)).status).toBe('success')
  })

  test('a client that is cut never sees an end; its task is cancelled, and the VDI is free', async () => {
    const rpc = await login(server)
    const { uuid } = await createVdi(rpc, 2 ** 33)
    const task = await rpc<string>('task.create', 'download', '')
    const client = await connectRaw(server.port)
    const basic = Buffer.from(`root:${rootPassword}`).toString('base64')
    const target = new URL(exportUrl(server, uuid, 'raw', { task_id: task }))
    client.send(
      `GET ${target.pathname}${target.search} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${basic}\r\nAccept-Encoding: gzip, identity;q=0\r\n\r\n`,
    )
    await client.until(/\r\n\r\n/)
    await rpc('task.cancel', task)
    expect(await client.closed).not.toMatch(/\r\n0\r\n\r\n$/)
    await eventually('the task to be cancelled', async () => {
      const { status } = await rpc<TaskRecord>('task.get_record', task)
      return status === 'cancelled' ? status : undefined
    })
    await rpc('VDI.destroy', `OpaqueRef:${uuid}`)
  })
})

const pythonDownload = `
import base64, sys, urllib.request
url, path, auth, encoding = sys.argv[1:]
request = urllib.request.Request(url)
request.add_header('Authorization', 'Basic ' + base64.b64encode(auth.encode()).decode())
if encoding:
    request.add_header('Accept-Encoding', encoding)
answer = urllib.request.urlopen(request)
open(path, 'wb').write(answer.read())
print(answer.headers['Content-Length'], answer.headers['Content-Encoding'])
`

describe('libraries that send Accept-Encoding unasked keep length and bytes', () => {
  const expectPlain = async (bytes: Uint8Array, uuid: string): Promise<void> =>
    expectSameBytes(bytes, await readFile((await download(server, uuid, 'raw')).bodyFile))

  test('fetch of Node', async () => {
    const uuid = await create()
    const basic = Buffer.from(`root:${rootPassword}`).toString('base64')
    const headers = { authorization: `Basic ${basic}` }
    const answer = await fetch(exportUrl(server, uuid, 'raw'), { headers })
    expect(answer.headers.get('content-encoding')).toBeNull()
    const bytes = new Uint8Array(await answer.arrayBuffer())
    expect(answer.headers.get('content-length')).toBe(String(bytes.length))
    await expectPlain(bytes, uuid)
  })

  test.skipIf(!hasTool('python3')).each(['', 'gzip, deflate', 'gzip, deflate, br, zstd'])(
    'urllib and requests of Python (%s)',
    async (encoding) => {
      const uuid = await create()
      const path = join(await createTestFolder(), 'disk')
      const url = exportUrl(server, uuid, 'raw')
      const args = [url, path, `root:${rootPassword}`, encoding]
      const { stdout } = await run('python3', ['-c', pythonDownload, ...args])
      const bytes = await readFile(path)
      expect(stdout).toBe(`${bytes.length} None\n`)
      await expectPlain(bytes, uuid)
    },
  )

  test.skipIf(!hasTool('wget'))('wget --compression=auto', async () => {
    const uuid = await create()
    const path = join(await createTestFolder(), 'disk')
    const user = ['--user=root', `--password=${rootPassword}`, '--auth-no-challenge']
    const url = exportUrl(server, uuid, 'raw')
    await run('wget', ['-q', '--compression=auto', ...user, '-O', path, url])
    await expectPlain(await readFile(path), uuid)
  })

  test.skipIf(!hasTool('aria2c'))('aria2c --http-accept-gzip over four connections', async () => {
    const uuid = await create()
    const folder = await createTestFolder()
    const user = ['--http-auth-challenge=false', '--http-user=root']
    const split = ['-q', '-x4', '-s4', '-k1M', '--no-conf', '--http-accept-gzip=true']
    const password = `--http-passwd=${rootPassword}`
    const url = exportUrl(server, uuid, 'raw')
    await run('aria2c', [...split, ...user, password, '-d', folder, '-o', 'disk', url])
    await expectPlain(await readFile(join(folder, 'disk')), uuid)
  })
})
