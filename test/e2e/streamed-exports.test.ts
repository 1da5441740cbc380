// Exports whose length nobody knows before their end, by real clients: whole or visibly cut, and
// counted like any other transfer.

import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { formatNames, formatTable } from '../../src/format-table.ts'
import { MiB } from '../../src/units.ts'
import { curl } from '../support/curl.ts'
import { createVdi, login, type Rpc, type TaskRecord } from '../support/json-rpc.ts'
import { rootPassword, shareServer, startServer, type TestServer } from '../support/server.ts'
import { openDownload } from '../support/slow-client.ts'
import { createRawSource, expectCleanImage, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'
import { asRoot, expectStatus, exportUrl, importUrl, uploadNew } from '../support/transfer.ts'
import { eventually } from '../support/wait.ts'
import { createXe } from '../support/xe-program.ts'

const server = await shareServer()

const create = async (): Promise<{ uuid: string; source: string }> => {
  const source = await createRawSource(await createTestFolder())
  return { uuid: await uploadNew(server, source, 'raw'), source }
}

/** More than sockets take, and nothing that could be compressed. */
const createNoise = async (on: TestServer, size = 64 * MiB) => {
  const source = join(await createTestFolder(), 'noise.raw')
  await writeFile(source, randomBytes(size))
  return { uuid: await uploadNew(on, source, 'raw'), source }
}

const compressedUrl = (on: TestServer, uuid: string, more: Record<string, string> = {}): string =>
  exportUrl(on, uuid, 'qcow2', { compression: 'zstd', ...more })

const untilEnded = (rpc: Rpc, task: string): Promise<TaskRecord> =>
  eventually('the task to end', async () => {
    const record = await rpc<TaskRecord>('task.get_record', task)
    return record.status === 'pending' ? undefined : record
  })

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('compressed qcow2', () => {
  test.each(['zlib', 'zstd', 'ZSTD'])('%s: curl takes it whole, in chunks', async (compression) => {
    const { uuid, source } = await create()
    const answer = await curl(...asRoot, exportUrl(server, uuid, 'qcow2', { compression }))
    await expectStatus(answer, 200)
    expect(answer.exitCode).toBe(0)
    const { headers } = answer
    expect(headers.get('transfer-encoding')).toBe('chunked')
    expect(headers.has('content-length')).toBe(false)
    expect(headers.get('accept-ranges')).toBe('none')
    expect(headers.get('etag')).toMatch(/^W\/"[\w-]+"$/)
    expect(headers.get('content-type')).toBe('application/x-qemu-disk')
    expect(headers.get('content-disposition')).toBe(`attachment; filename="${uuid}.qcow2"`)
    await expectCleanImage(answer.bodyFile, 'qcow2')
    await expectSameGuest([answer.bodyFile, 'qcow2'], [source, 'raw'])
    // And it comes back through a pipe.
    const url = importUrl(server, { sr_uuid: 'default', format: 'auto' })
    const pipe = `cat '${answer.bodyFile}' | curl -sSf -u 'root:${rootPassword}' -T - '${url}'`
    const { stdout } = await run('bash', ['-o', 'pipefail', '-c', pipe])
    const back = await curl(...asRoot, exportUrl(server, stdout.trim(), 'raw'))
    await expectSameGuest([back.bodyFile, 'raw'], [source, 'raw'])
  })

  test('ranges are ignored, and HEAD says what GET does', async () => {
    const { uuid } = await create()
    const url = compressedUrl(server, uuid)
    const whole = await curl(...asRoot, url)
    const etag = whole.headers.get('etag')!
    for (const more of [
      ['-r', '0-9'],
      ['-r', '99999999999-'],
      ['-r', '0-9', '-H', `If-Range: ${etag}`],
    ]) {
      const answer = await curl(...asRoot, ...more, url)
      await expectStatus(answer, 200)
      expect((await readFile(answer.bodyFile)).equals(await readFile(whole.bodyFile))).toBe(true)
    }
    const head = await curl(...asRoot, '--head', url)
    await expectStatus(head, 200)
    for (const name of ['etag', 'accept-ranges', 'content-length', 'content-type', 'vary']) {
      expect(head.headers.get(name)).toBe(whole.headers.get(name))
    }
    // curl -C - finds out that it cannot be resumed.
    const part = join(await createTestFolder(), 'part')
    await writeFile(part, 'QFI')
    const resumed = await curl(...asRoot, '-C', '-', '-o', part, url)
    expect(resumed.exitCode).not.toBe(0)
  })

  test('conditions hold by the weak tag where the comparison is weak', async () => {
    const { uuid } = await create()
    const url = compressedUrl(server, uuid)
    const etag = (await curl(...asRoot, '--head', url)).headers.get('etag')!
    const ask = async (header: string): Promise<number> =>
      (await curl(...asRoot, '-H', header, url)).status
    expect(await ask(`If-None-Match: ${etag}`)).toBe(304)
    expect(await ask(`If-None-Match: ${etag.slice(2)}`)).toBe(304)
    expect(await ask('If-None-Match: "other"')).toBe(200)
    expect(await ask(`If-Match: ${etag}`)).toBe(412)
    expect(await ask('If-Match: *')).toBe(200)
    const tags = [etag]
    for (const more of [{ compression: 'zlib' }, { delta: 'compact' }]) {
      const head = await curl(...asRoot, '--head', compressedUrl(server, uuid, more))
      tags.push(head.headers.get('etag')!)
    }
    expect(new Set(tags).size).toBe(3)
  })

  test('it is not compressed twice', async () => {
    const { uuid } = await create()
    const url = compressedUrl(server, uuid, { negotiate: 'true' })
    const answer = await curl(...asRoot, '-H', 'Accept-Encoding: gzip', url)
    await expectStatus(answer, 200)
    expect(answer.headers.has('content-encoding')).toBe(false)
    const only = ['-H', 'Accept-Encoding: gzip, identity;q=0']
    const refused = await curl(...asRoot, ...only, url)
    await expectStatus(refused, 406)
    expect(await refused.text()).toContain('the image is compressed already: accept identity')
  })

  test('over HTTP/1.0 it is refused by name, unless a task tells how it ended', async () => {
    const { uuid, source } = await create()
    for (const more of [[], ['--head']]) {
      const refused = await curl(...asRoot, '--http1.0', ...more, compressedUrl(server, uuid))
      await expectStatus(refused, 400)
    }
    const refused = await curl(...asRoot, '--http1.0', compressedUrl(server, uuid))
    expect(await refused.text()).toMatch(/^VALUE_NOT_SUPPORTED .*use HTTP\/1\.1, or name a task_id/)
    const rpc = await login(server)
    const task = await rpc<string>('task.create', 'download', '')
    const url = compressedUrl(server, uuid, { task_id: task })
    const answer = await curl(...asRoot, '--http1.0', url)
    await expectStatus(answer, 200)
    expect((await untilEnded(rpc, task)).status).toBe('success')
    await expectSameGuest([answer.bodyFile, 'qcow2'], [source, 'raw'])
  })

  test('other formats and other compressions are refused by name', async () => {
    const { uuid } = await create()
    for (const format of formatNames) {
      if (formatTable[format].compressions !== undefined) continue
      const url = exportUrl(server, uuid, format, { compression: 'zlib' })
      const refused = await curl(...asRoot, url)
      await expectStatus(refused, 400)
      expect(await refused.text()).toContain(`${format} has no compressions, leave it out`)
    }
    const refused = await curl(...asRoot, compressedUrl(server, uuid, { compression: 'lzma' }))
    await expectStatus(refused, 400)
    expect(await refused.text()).toContain('must be one of zlib, zstd for qcow2')
  })

  test.each(['compatible', 'compact'])('a %s delta goes onto a copy of its base', async (delta) => {
    const { uuid, source } = await create()
    const rpc = await login(server)
    const ref = `OpaqueRef:${uuid}`
    const snapshot = await rpc<string>('VDI.snapshot', ref)
    const copy = await rpc<string>('VDI.clone', snapshot)
    const changes = { parts: [[MiB, 3 * MiB]] as const, seed: 1 }
    const other = await createRawSource(await createTestFolder(), 'other.raw', changes)
    const replace = importUrl(server, { vdi: uuid, format: 'raw' })
    await expectStatus(await curl(...asRoot, '-T', other, replace), 200)
    const url = compressedUrl(server, uuid, { base: snapshot, delta })
    const answer = await curl(...asRoot, url)
    await expectStatus(answer, 200)
    const onto = importUrl(server, { vdi: copy, format: 'qcow2' })
    await expectStatus(await curl(...asRoot, '-T', answer.bodyFile, onto), 200)
    const back = await curl(...asRoot, exportUrl(server, copy, 'raw'))
    await expectSameGuest([back.bodyFile, 'raw'], [other, 'raw'])
    expect((await readFile(source)).equals(await readFile(other))).toBe(false)
  })

  test.each(['zlib', 'zstd'])('xe vdi-export compression=%s', async (compression) => {
    const { uuid, source } = await create()
    const { xe } = createXe(server)
    const path = join(await createTestFolder(), 'out.qcow2')
    const args = [`uuid=${uuid}`, `filename=${path}`, 'format=qcow2', `compression=${compression}`]
    expect(await xe('vdi-export', ...args, '--progress')).toMatchObject({ code: 0 })
    await expectCleanImage(path, 'qcow2')
    await expectSameGuest([path, 'qcow2'], [source, 'raw'])
  })

  test.skipIf(!hasTool('wget'))('wget', async () => {
    const { uuid, source } = await create()
    const path = join(await createTestFolder(), 'disk')
    const user = ['--user=root', `--password=${rootPassword}`, '--auth-no-challenge']
    await run('wget', ['-q', ...user, '-O', path, compressedUrl(server, uuid)])
    await expectSameGuest([path, 'qcow2'], [source, 'raw'])
  })

  test.skipIf(!hasTool('aria2c'))('aria2c, which would like four connections', async () => {
    const { uuid, source } = await create()
    const folder = await createTestFolder()
    const user = ['--http-auth-challenge=false', '--http-user=root']
    const password = `--http-passwd=${rootPassword}`
    const split = ['-q', '-x4', '-s4', '-k1M', '--no-conf', '-d', folder, '-o', 'disk']
    await run('aria2c', [...split, ...user, password, compressedUrl(server, uuid)])
    await expectSameGuest([join(folder, 'disk'), 'qcow2'], [source, 'raw'])
  })
})

describe.skipIf(!hasTool('curl'))('a streamed export that does not end', () => {
  const stall = async (url: string) => {
    const download = await openDownload(url)
    onTestFinished(() => download.cut())
    await download.read(1)
    return download
  }

  test('cancelled in the middle: the client sees a cut body, never an end', async () => {
    const { uuid } = await createNoise(server)
    const rpc = await login(server)
    const task = await rpc<string>('task.create', 'download', '')
    const download = await stall(compressedUrl(server, uuid, { task_id: task }))
    const { progress } = await rpc<TaskRecord & { progress: number }>('task.get_record', task)
    // It has been read once, and a part of it for the second time.
    expect(progress).toBeGreaterThanOrEqual(0.5)
    expect(progress).toBeLessThan(1)
    await rpc('task.cancel', task)
    await expect(download.rest()).rejects.toThrow('aborted')
    expect((await untilEnded(rpc, task)).status).toBe('cancelled')
    await rpc('VDI.destroy', `OpaqueRef:${uuid}`)
  })

  test('a client that leaves, before the first byte or after it, ends its task', async () => {
    const { uuid } = await createNoise(server)
    const rpc = await login(server)
    for (const when of ['before', 'after']) {
      const task = await rpc<string>('task.create', 'download', '')
      const url = compressedUrl(server, uuid, { task_id: task, compression: 'zlib' })
      if (when === 'after') (await stall(url)).cut()
      else {
        const abort = new AbortController()
        const basic = Buffer.from(`root:${rootPassword}`).toString('base64')
        const headers = { authorization: `Basic ${basic}` }
        const asking = fetch(url, { signal: abort.signal, headers })
        asking.catch(() => {})
        await eventually('the export to read', async () => {
          const { progress } = await rpc<TaskRecord & { progress: number }>('task.get_record', task)
          return progress > 0 || undefined
        })
        abort.abort()
      }
      expect((await untilEnded(rpc, task)).status).toBe('cancelled')
    }
    await rpc('VDI.destroy', `OpaqueRef:${uuid}`)
  })

  test('a client that takes nothing is given up, and its task says why', async () => {
    const own = await startServer({ args: ['--stall-timeout', '1'] })
    const { uuid } = await createNoise(own)
    const rpc = await login(own)
    const task = await rpc<string>('task.create', 'download', '')
    await stall(compressedUrl(own, uuid, { task_id: task }))
    const record = await untilEnded(rpc, task)
    expect(record.status).toBe('failure')
    expect(record.error_info.join(' ')).toContain('the client took nothing for 1 s')
  })

  test('a stalled one holds no turn: another goes through with one place', async () => {
    const own = await startServer({ args: ['--max-transfers', '1'] })
    const { uuid, source } = await createNoise(own)
    await stall(compressedUrl(own, uuid))
    const answer = await curl(...asRoot, compressedUrl(own, uuid))
    await expectStatus(answer, 200)
    await expectSameGuest([answer.bodyFile, 'qcow2'], [source, 'raw'])
  })

  test('the server is killed in the middle: curl says that the transfer is broken', async () => {
    const own = await startServer()
    const { uuid } = await createNoise(own)
    const asking = curl(...asRoot, '--limit-rate', '8M', compressedUrl(own, uuid))
    const rpc = await login(own)
    await eventually('the export to send', async () => {
      const tasks = await rpc<Record<string, { progress: number }>>('task.get_all_records')
      return Object.values(tasks).some(({ progress }) => progress > 0.6) || undefined
    })
    await own.kill()
    const { exitCode, status } = await asking
    expect(status).toBe(200)
    expect([18, 56]).toContain(exitCode)
  })

  test('memory does not grow with the disk', { timeout: 120_000 }, async () => {
    const own = await startServer()
    const peaks: number[] = []
    for (const size of [32 * MiB, 256 * MiB]) {
      const { uuid } = await createNoise(own, size)
      await own.forgetPeakMemory()
      const answer = await curl(...asRoot, compressedUrl(own, uuid))
      await expectStatus(answer, 200)
      expect(answer.downloaded).toBeGreaterThan(size)
      const plain = exportUrl(own, uuid, 'raw')
      const coded = await curl(...asRoot, '-H', 'Accept-Encoding: zstd, identity;q=0', plain)
      await expectStatus(coded, 200)
      peaks.push(await own.peakMemory())
    }
    expect(peaks[1]! - peaks[0]!).toBeLessThan(64 * MiB)
  })

  test('an empty disk is an image, too', async () => {
    const { uuid } = await createVdi(await login(server), 16 * MiB)
    const answer = await curl(...asRoot, compressedUrl(server, uuid))
    await expectStatus(answer, 200)
    await expectCleanImage(answer.bodyFile, 'qcow2')
  })
})
