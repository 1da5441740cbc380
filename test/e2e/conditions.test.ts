// Conditions and digests of requests, as curl and wget send them: what does not hold is not done,
// and costs no body.

import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { login, type TaskRecord } from '../support/json-rpc.ts'
import { listStaging } from '../support/layers.ts'
import { rootPassword, shareServer } from '../support/server.ts'
import { createRawSource } from '../support/sources.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'
import { asRoot, expectStatus, exportUrl, importUrl, uploadNew } from '../support/transfer.ts'
import { eventually } from '../support/wait.ts'

const longAgo = 'Sat, 01 Jan 2000 00:00:00 GMT'

describe.skipIf(!hasTool('curl'))('conditions', async () => {
  const server = await shareServer()

  const create = async () => {
    const folder = await createTestFolder()
    const source = await createRawSource(folder)
    const uuid = await uploadNew(server, source, 'raw')
    const head = await curl(...asRoot, '--head', exportUrl(server, uuid, 'vhd'))
    return { folder, source, uuid, etag: head.headers.get('etag')! }
  }
  const put = (uuid: string, path: string, headers: readonly string[], more = {}) => {
    const args = ['Expect: 100-continue', ...headers].flatMap((header) => ['-H', header])
    const url = importUrl(server, { vdi: uuid, format: 'raw', ...more })
    return curl(...asRoot, '--expect100-timeout', '60', ...args, '-T', path, url)
  }
  const createTask = async (): Promise<string> =>
    (await login(server))<string>('task.create', 'transfer', '')
  const ended = (task: string): Promise<TaskRecord> =>
    eventually('the task to end', async () => {
      const record = await (await login(server))<TaskRecord>('task.get_record', task)
      return record.status === 'pending' ? undefined : record
    })
  const digestOf = async (uuid: string): Promise<string> => {
    const { bodyFile } = await curl(...asRoot, exportUrl(server, uuid, 'raw'))
    return createHash('sha256')
      .update(await readFile(bodyFile))
      .digest('base64')
  }

  test('If-None-Match with the tag of a download: 304 without a body, also to HEAD', async () => {
    const { uuid, etag } = await create()
    const url = exportUrl(server, uuid, 'vhd')
    for (const more of [[], ['--head'], ['-H', 'Range: bytes=0-9']]) {
      const answer = await curl(...asRoot, '-H', `If-None-Match: "x", ${etag}`, ...more, url)
      await expectStatus(answer, 304)
      expect(answer.headers.get('etag')).toBe(etag)
      expect(answer.downloaded).toBe(0)
    }
    // Another image of the same disk has another tag.
    const other = exportUrl(server, uuid, 'qcow2')
    await expectStatus(await curl(...asRoot, '-H', `If-None-Match: ${etag}`, '--head', other), 200)
  })

  test.each([
    ['If-Match: "x"', 412],
    ['If-Match: *', 200],
    [`If-Unmodified-Since: ${longAgo}`, 412],
    ['If-Unmodified-Since: yesterday', 400],
  ])('a download with %s: %i', async (header, status) => {
    const { uuid } = await create()
    const task = await createTask()
    const url = exportUrl(server, uuid, 'vhd', { task_id: task })
    const answer = await curl(...asRoot, '-H', header, url)
    await expectStatus(answer, status)
    expect((await ended(task)).status).toBe(status === 200 ? 'success' : 'failure')
  })

  test('a list of extents that is known already is 304', async () => {
    const { uuid } = await create()
    const url = `${server.url}/vdi_extents?vdi=${uuid}`
    const etag = (await curl(...asRoot, '--head', url)).headers.get('etag')!
    await expectStatus(await curl(...asRoot, '-H', `If-None-Match: ${etag}`, url), 304)
    await expectStatus(await curl(...asRoot, '-H', 'If-Match: "x"', url), 412)
  })

  test.skipIf(!hasTool('wget'))('wget -N loads again only what has changed', async () => {
    const { folder, uuid, source } = await create()
    const url = exportUrl(server, uuid, 'qcow2')
    // The second in which it was changed must be over before it has a date.
    await eventually('a Last-Modified', async () =>
      (await curl(...asRoot, '--head', url)).headers.get('last-modified'),
    )
    const user = ['--user=root', `--password=${rootPassword}`, '--auth-no-challenge']
    const downloads = join(folder, 'downloads')
    const wget = async (): Promise<string> =>
      (await run('wget', ['-S', '-N', ...user, '-P', downloads, url])).stderr
    const changedAt = async (): Promise<number> =>
      (await stat(join(downloads, (await readdir(downloads))[0]!))).mtimeMs
    expect(await wget()).toContain('200 OK')
    const first = await changedAt()
    expect(await wget()).toContain('304 Not Modified')
    expect(await changedAt()).toBe(first)
    await expectStatus(await put(uuid, source, []), 200)
    await eventually('another Last-Modified', async () => {
      const told = (await curl(...asRoot, '--head', url)).headers.get('last-modified')
      return told !== undefined && Date.parse(told) > first ? told : undefined
    })
    expect(await wget()).toContain('200 OK')
    expect(await changedAt()).toBeGreaterThan(first)
  })

  test.each([['If-Match: "x"'], ['If-None-Match: *'], [`If-Unmodified-Since: ${longAgo}`]])(
    'an upload with %s costs no byte and changes nothing',
    async (header) => {
      const { folder, uuid } = await create()
      const before = await digestOf(uuid)
      const other = await createRawSource(folder, 'other.raw', { seed: 1 })
      const task = await createTask()
      const answer = await put(uuid, other, [header], { task_id: task })
      await expectStatus(answer, 412)
      expect(answer.uploaded).toBe(0)
      expect((await ended(task)).status).toBe('failure')
      expect(await digestOf(uuid)).toBe(before)
    },
  )

  test('of two uploads on top of the same download the second is refused', async () => {
    const { folder, uuid, etag } = await create()
    const other = await createRawSource(folder, 'other.raw', { seed: 1 })
    await expectStatus(await put(uuid, other, [`If-Match: ${etag}`]), 200)
    const second = await put(uuid, other, [`If-Match: ${etag}`])
    await expectStatus(second, 412)
    expect(await second.text()).toContain('the content has another ETag now')
  })

  test('a new disk: If-None-Match: * holds, If-Match: * does not', async () => {
    const source = await createRawSource(await createTestFolder())
    const url = importUrl(server, { sr_uuid: 'default', format: 'raw' })
    await expectStatus(await curl(...asRoot, '-H', 'If-Match: *', '-T', source, url), 412)
    await expectStatus(await curl(...asRoot, '-H', 'If-None-Match: *', '-T', source, url), 200)
  })

  describe('digests', () => {
    const headerOf = async (path: string): Promise<string> => {
      const sha = createHash('sha256')
        .update(await readFile(path))
        .digest('base64')
      return `Content-Digest: sha-256=:${sha}:`
    }

    test.each([
      ['with a length', []],
      ['chunked', ['Transfer-Encoding: chunked']],
    ])('%s: an upload that is what it says goes in', async (_how, more) => {
      const { folder, uuid } = await create()
      const other = await createRawSource(folder, 'other.raw', { seed: 1 })
      await expectStatus(await put(uuid, other, [await headerOf(other), ...more]), 200)
      expect(`Content-Digest: sha-256=:${await digestOf(uuid)}:`).toBe(await headerOf(other))
    })

    test.each([
      ['with a length', [], []],
      ['chunked', ['Transfer-Encoding: chunked'], []],
      ['over HTTP/1.0', [], ['--http1.0']],
    ])('%s: one that was damaged on its way changes nothing', async (_how, more, options) => {
      const { folder, source, uuid } = await create()
      const before = await digestOf(uuid)
      const digest = await headerOf(source)
      const damaged = await createRawSource(folder, 'damaged.raw', { seed: 1 })
      const task = await createTask()
      const url = importUrl(server, { vdi: uuid, format: 'raw', task_id: task })
      const headers = [digest, ...more].flatMap((header) => ['-H', header])
      await curl(...asRoot, ...headers, ...options, '-T', damaged, url)
      const record = await ended(task)
      expect(record.status).toBe('failure')
      expect(record.error_info[1]).toMatch(/^The upload is not what its Content-Digest says: /)
      expect(await digestOf(uuid)).toBe(before)
      expect(await listStaging(server.dataFolder)).toEqual([])
    })

    test('over HTTP/1.0 and without a task, curl sees that a damaged upload failed', async () => {
      const { folder, source, uuid } = await create()
      const digest = await headerOf(source)
      const damaged = await createRawSource(folder, 'damaged.raw', { seed: 1 })
      const url = importUrl(server, { vdi: uuid, format: 'raw' })
      const answer = await curl(...asRoot, '-H', digest, '--http1.0', '-T', damaged, url)
      expect(answer.exitCode).not.toBe(0)
      expect(await answer.text()).not.toContain(uuid)
    })

    test('one of an algorithm that is not known here is refused before the body', async () => {
      const { source, uuid } = await create()
      const answer = await put(uuid, source, ['Content-Digest: crc32c=:AAAAAA==:'])
      await expectStatus(answer, 400)
      expect(answer.uploaded).toBe(0)
    })
  })
})
