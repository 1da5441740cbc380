// Other clients than curl, and the ways in which bodies come: chunked, empty, of unknown length.

import { readFile, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatNames } from '../../src/format-table.ts'
import { curl } from '../support/curl.ts'
import { expectSameBytes } from '../support/disks.ts'
import { createVdi, login, type TaskRecord } from '../support/json-rpc.ts'
import { listStaging } from '../support/layers.ts'
import { rootPassword, shareServer } from '../support/server.ts'
import { convertSource, createRawSource, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'
import {
  asRoot,
  expectStatus,
  download,
  exportUrl,
  importUrl,
  uploadNew,
} from '../support/transfer.ts'
import { eventually, within } from '../support/wait.ts'

const server = await shareServer()

const uploadSource = async (): Promise<{ uuid: string; source: string }> => {
  const source = await createRawSource(await createTestFolder())
  return { uuid: await uploadNew(server, source, 'raw'), source }
}

describe.skipIf(!hasTool('wget'))('wget', () => {
  test.each(formatNames)('downloads %s, and continues with -c', async (format) => {
    const { uuid } = await uploadSource()
    const whole = await readFile((await download(server, uuid, format)).bodyFile)
    const target = join(await createTestFolder(), 'disk')
    const url = exportUrl(server, uuid, format)
    const args = [
      '-q',
      '--auth-no-challenge',
      '--user=root',
      `--password=${rootPassword}`,
      '-O',
      target,
    ]
    await run('wget', [...args, url])
    expectSameBytes(await readFile(target), whole)
    await run('truncate', ['-s', '1234567', target])
    await run('wget', [...args, '-c', url])
    expectSameBytes(await readFile(target), whole)
  })
})

describe.skipIf(!hasTool('aria2c'))('aria2c', () => {
  test.each(formatNames)('downloads %s over four connections', async (format) => {
    const { uuid } = await uploadSource()
    const whole = await readFile((await download(server, uuid, format)).bodyFile)
    const folder = await createTestFolder()
    await run('aria2c', [
      '-q',
      '-x4',
      '-s4',
      '-k1M',
      '--no-conf',
      '--http-auth-challenge=false',
      '--http-user=root',
      `--http-passwd=${rootPassword}`,
      '-d',
      folder,
      '-o',
      'disk',
      exportUrl(server, uuid, format),
    ])
    expectSameBytes(await readFile(join(folder, 'disk')), whole)
  })
})

const pythonUpload = `
import base64, http.client, os, sys
host, port, target, path, auth, chunked = sys.argv[1:]
connection = http.client.HTTPConnection(host, int(port), timeout=60)
headers = {'Authorization': 'Basic ' + base64.b64encode(auth.encode()).decode()}
with open(path, 'rb') as image:
    if chunked == 'chunked':
        blocks = iter(lambda: image.read(100_000), b'')
        connection.request('PUT', target, blocks, headers, encode_chunked=True)
    else:
        headers['Content-Length'] = str(os.path.getsize(path))
        connection.request('PUT', target, image, headers)
    answer = connection.getresponse()
    print(answer.status, answer.read().decode())
`

describe.skipIf(!hasTool('python3'))('http.client of Python', () => {
  test.each([
    ['with Content-Length', 'plain'],
    ['chunked', 'chunked'],
  ])('uploads %s', async (_, how) => {
    const raw = await createRawSource(await createTestFolder())
    for (const format of formatNames) {
      // Nothing but the sender tells how large raw in chunks is.
      const isUntold = format === 'raw' && how === 'chunked'
      const size = isUntold ? { size: String((await stat(raw)).size) } : {}
      const query = { sr_uuid: 'default', format, ...size }
      const { pathname, search } = new URL(importUrl(server, query))
      const image = await convertSource(raw, format)
      const args = [
        server.host,
        String(server.port),
        pathname + search,
        image,
        `root:${rootPassword}`,
        how,
      ]
      const { stdout } = await run('python3', ['-c', pythonUpload, ...args])
      const [status, uuid] = stdout.trim().split(' ')
      expect(status).toBe('200')
      const { bodyFile } = await download(server, uuid!, 'qcow2')
      await expectSameGuest([bodyFile, 'qcow2'], [raw, 'raw'])
    }
  })
})

const pythonRequest = `
import base64, sys, urllib.error, urllib.request
url, path, auth, *kind = sys.argv[1:]
request = urllib.request.Request(url, data=open(path, 'rb').read(), method='PUT')
request.add_header('Authorization', 'Basic ' + base64.b64encode(auth.encode()).decode())
if kind:
    request.add_header('Content-Type', kind[0])
try:
    print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
`

describe.skipIf(!hasTool('python3'))('urllib of Python', () => {
  test('calls its bodies forms unasked: 415 says which header to set, and with it 200', async () => {
    const { uuid, source } = await uploadSource()
    const put = async (...kind: string[]): Promise<string> => {
      const url = importUrl(server, { vdi: uuid })
      const args = [url, source, `root:${rootPassword}`, ...kind]
      return (await run('python3', ['-c', pythonRequest, ...args])).stdout
    }
    expect(await put()).toMatch(/^415 .*send Content-Type: application\/octet-stream/)
    expect(await put('application/octet-stream')).toBe('200\n')
  })
})

describe('bodies', () => {
  test.each(formatNames)('chunked %s from a pipe into a VDI', async (format) => {
    const raw = await createRawSource(await createTestFolder())
    const { uuid } = await createVdi(await login(server), (await stat(raw)).size)
    const image = await convertSource(raw, format)
    const url = importUrl(server, { vdi: uuid, format })
    const pipe = `cat '${image}' | curl -sSf -u 'root:${rootPassword}' -T - '${url}'`
    await run('bash', ['-o', 'pipefail', '-c', pipe])
    const { bodyFile } = await download(server, uuid, 'raw')
    await expectSameGuest([bodyFile, 'raw'], [raw, 'raw'])
  })

  test('chunked raw of unknown length cannot make a VDI: 400 says what is missing', async () => {
    const source = await createRawSource(await createTestFolder())
    const url = importUrl(server, { sr_uuid: 'default', format: 'raw' })
    const answer = await curl(...asRoot, '-H', 'Transfer-Encoding: chunked', '-T', source, url)
    await expectStatus(answer, 400)
    expect(await answer.text()).toMatch(/without a Content-Length does not. Say size=/)
  })

  test('an empty PUT into a VDI is Orchestra’s question: 200, and nothing changes', async () => {
    const { uuid, source } = await uploadSource()
    const etag = (await curl(...asRoot, '--head', exportUrl(server, uuid, 'raw'))).headers.get(
      'etag',
    )
    for (const format of formatNames) {
      const url = importUrl(server, { vdi: uuid, format })
      await expectStatus(await curl(...asRoot, '-X', 'PUT', '-H', 'Content-Length: 0', url), 200)
    }
    const head = await curl(...asRoot, '--head', exportUrl(server, uuid, 'raw'))
    expect(head.headers.get('etag')).toBe(etag)
    const { bodyFile } = await download(server, uuid, 'raw')
    await expectSameGuest([bodyFile, 'raw'], [source, 'raw'])
  })

  test('an empty file makes no VDI and replaces nothing: 400', async () => {
    const { uuid, source } = await uploadSource()
    const rpc = await login(server)
    const before = Object.keys(await rpc<object>('VDI.get_all_records')).length
    for (const format of formatNames) {
      for (const target of [{ vdi: uuid, replace: 'true' }, { sr_uuid: 'default' }]) {
        const answer = await curl(
          ...asRoot,
          '-T',
          '/dev/null',
          importUrl(server, { ...target, format, ...(format === 'raw' && { size: '1MiB' }) }),
        )
        await expectStatus(answer, 400)
      }
    }
    expect(Object.keys(await rpc<object>('VDI.get_all_records'))).toHaveLength(before)
    const { bodyFile } = await download(server, uuid, 'raw')
    await expectSameGuest([bodyFile, 'raw'], [source, 'raw'])
  })

  test('curl that resumes, codes or sends a form is refused, and told what to call instead', async () => {
    const { uuid, source } = await uploadSource()
    const url = importUrl(server, { vdi: uuid })
    for (const [status, expected, args] of [
      [400, 'cannot be resumed', ['-C', '2097152', '-T', source]],
      [400, 'cannot be resumed', ['-r', '0-511', '-T', source]],
      [415, 'brotli -dc FILE | curl -T -', ['-H', 'Content-Encoding: br', '-T', source]],
      [415, 'curl -T FILE', ['-X', 'PUT', '-F', `disk=@${source}`]],
      [415, 'curl -T FILE', ['-X', 'PUT', '--data-binary', `@${source}`]],
      [501, 'only chunked', ['-H', 'Transfer-Encoding: gzip, chunked', '-T', source]],
      [417, 'Expect', ['-H', 'Expect: a miracle', '-T', source]],
    ] as const) {
      const answer = await curl(...asRoot, ...args, url)
      await expectStatus(answer, status)
      expect(await answer.text()).toContain(expected)
    }
    const { bodyFile } = await download(server, uuid, 'raw')
    await expectSameGuest([bodyFile, 'raw'], [source, 'raw'])
  })

  test('a fixed VHD from a pipe makes a VDI, once its footer has come', async () => {
    const raw = await createRawSource(await createTestFolder())
    const image = await convertSource(raw, 'vhd', '-o', 'subformat=fixed,force_size=on')
    const url = importUrl(server, { sr_uuid: 'default', format: 'vhd' })
    const pipe = `cat '${image}' | curl -sSf -u 'root:${rootPassword}' -T - '${url}'`
    const { stdout } = await run('bash', ['-o', 'pipefail', '-c', pipe])
    const { bodyFile } = await download(server, stdout.trim(), 'raw')
    await expectSameGuest([bodyFile, 'raw'], [raw, 'raw'])
    expect(await listStaging(server.dataFolder)).toEqual([])
  })

  test.each(['vhd', 'qcow2'] as const)(
    '%s announced as 1 PiB: the head at once, and the image ends where it says',
    async (format) => {
      const rpc = await login(server)
      const { uuid } = await createVdi(rpc, 32 << 20)
      const task = await rpc<string>('task.create', 'upload', '')
      const raw = await createRawSource(await createTestFolder())
      const { pathname, search } = new URL(importUrl(server, { vdi: uuid, format, task_id: task }))
      const socket = connect(server.port, server.host)
      socket.on('error', () => {})
      socket.write(
        `PUT ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Length: 1125899906842624\r\n` +
          `Authorization: Basic ${Buffer.from(`root:${rootPassword}`).toString('base64')}\r\n\r\n`,
      )
      const head = await within(
        'the head',
        new Promise<Buffer>((resolve) => socket.once('data', resolve)),
      )
      expect(head.toString('latin1')).toMatch(/^HTTP\/1.1 200 /)
      socket.write(await readFile(await convertSource(raw, format)))
      await eventually('the task to succeed', async () => {
        const record = await rpc<TaskRecord>('task.get_record', task)
        expect(record.error_info).toEqual([])
        return record.status === 'success' ? true : undefined
      })
      socket.destroy()
      const { bodyFile } = await download(server, uuid, 'raw')
      await expectSameGuest([bodyFile, 'raw'], [raw, 'raw'])
    },
  )

  test('HTTP/1.0 downloads get a length and the end of the connection, no chunks', async () => {
    const { uuid, source } = await uploadSource()
    const answer = await curl(...asRoot, '--http1.0', exportUrl(server, uuid, 'raw'))
    await expectStatus(answer, 200)
    expect(answer.headers.get('transfer-encoding')).toBeUndefined()
    expect(answer.headers.get('connection')).toBe('close')
    expectSameBytes(await readFile(answer.bodyFile), await readFile(source))
  })

  test('one connection carries several requests', async () => {
    const { uuid } = await uploadSource()
    const url = exportUrl(server, uuid, 'raw')
    const folder = await createTestFolder()
    const outputs = ['-o', join(folder, 'a'), '-o', join(folder, 'b'), '-o', join(folder, 'c')]
    const report = ['-w', '%{http_code} %{num_connects}\\n']
    const { stdout } = await run('curl', [
      '-sS',
      ...asRoot,
      ...report,
      ...outputs,
      '-r',
      '0-999',
      url,
      url,
      url,
    ])
    expect(stdout).toBe('206 1\n206 0\n206 0\n')
  })
})
