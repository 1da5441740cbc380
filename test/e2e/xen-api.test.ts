// The library with which Xen Orchestra speaks to a pool, as it is published: events, tasks, and
// disks both ways, over each of its transports.

import { randomBytes, randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, test, vi } from 'vitest'
import { formatNames } from '../../src/format-table.ts'
import { shareServer, startServer, type TestServer } from '../support/server.ts'
import {
  convertSource,
  createRawSource,
  expectCleanImage,
  expectSameGuest,
} from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import { eventually, within } from '../support/wait.ts'
import type { CachedRecord, XenApi } from '../support/xen-api.ts'
import { connectXenApi, createXenApi, untilGone, untilSeen } from '../support/xen-api.ts'
import {
  createXenApiVdi,
  exportFile,
  exportPath,
  importFile,
  importPath,
  newVdi,
} from '../support/xen-api-disks.ts'

const lengths = ['known', 'unknown'] as const
const size = 24 << 20

// The library warns of uploads without a length, and of each connection that breaks.
vi.spyOn(console, 'warn').mockReturnValue()

const createVdi = (xapi: XenApi, virtualSize = size): Promise<CachedRecord> =>
  createXenApiVdi(xapi, virtualSize)

/**
 * Most of it is data, more than the buffers of a connection hold: where xen-api tells no length and
 * has written its last byte before it sees the head of the answer, it cuts off what has not left
 * its process yet.
 */
const createSource = async (folder: string, name = 'source.raw', seed = 0): Promise<string> =>
  createRawSource(folder, name, { size, seed, parts: [[1 << 20, 20 << 20]] })

const expectContent = async (xapi: XenApi, vdi: CachedRecord, source: string): Promise<void> => {
  const raw = await exportFile(xapi, { vdi: vdi.$ref, format: 'raw' })
  await expectSameGuest([raw, 'raw'], [source, 'raw'])
}

/** Fits the task as soon as it has some progress. */
const begun =
  (task: string) =>
  ({ $ref, progress }: CachedRecord): boolean =>
    $ref === task && Number(progress) > 0

/** What a promise is rejected with, for those that are looked at later. */
const refusalOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

/** The library destroys each task that it made; so nothing is left when all have ended. */
const untilNoTasks = async (xapi: XenApi): Promise<void> => {
  const tasks = Object.values(xapi.objects.all).filter(({ $type }) => $type === 'task')
  for (const { uuid } of tasks) await untilGone(xapi, uuid)
}

/** What the server answers to a session that asks for a VDI that is not there. */
const statusFor = async ({ url }: TestServer, sessionId: string): Promise<number> => {
  const query = new URLSearchParams({ session_id: sessionId, vdi: randomUUID() })
  const answer = await fetch(`${url}${exportPath}?${query.toString()}`)
  await answer.arrayBuffer()
  return answer.status
}

const firstBytes = (body: Readable): Promise<void> =>
  new Promise((resolve) => body.once('readable', resolve))

describe.skipIf(!hasTool('qemu-img')).each(['json-rpc', 'xml-rpc'] as const)(
  'xen-api over %s',
  async (transport) => {
    const server = await shareServer()
    const connect = (): Promise<XenApi> => connectXenApi(server, { transport })

    test('connects, reads all records, and shows who may not', async () => {
      const xapi = await connect()
      expect(xapi.status).toBe('connected')
      const types = Object.values(xapi.objects.all).map(({ $type }) => $type)
      expect(types).toEqual(expect.arrayContaining(['pool', 'host', 'SR', 'SM', 'PBD']))
      expect(xapi.pool).toMatchObject({
        $type: 'pool',
        master: expect.stringMatching(/^OpaqueRef:/),
      })
      const stranger = createXenApi(server, { transport, password: 'wrong' })
      await expect(stranger.connect()).rejects.toMatchObject({
        code: 'SESSION_AUTHENTICATION_FAILED',
      })
    })

    test('sees a VDI come, change and go', async () => {
      const [xapi, watcher] = [await connect(), await connect()]
      const vdi = await createVdi(xapi)
      const seen = await untilSeen(watcher, 'the VDI of another', ({ uuid }) => uuid === vdi.uuid)
      expect(seen).toMatchObject({ name_label: 'from orchestra', managed: true })
      expect(Number(seen.virtual_size)).toBe(size)
      await xapi.call('VDI.set_name_label', vdi.$ref, 'ünder änother näme <&>')
      expect(await xapi.barrier(vdi.$ref)).toMatchObject({ name_label: 'ünder änother näme <&>' })
      await xapi.callAsync('VDI.destroy', vdi.$ref)
      await untilGone(watcher, vdi.uuid)
    })

    test('callAsync gives the result of its task, and its error', async () => {
      const xapi = await connect()
      const ref = await xapi.callAsync<string>('VDI.create', newVdi(xapi, size))
      expect(Number(await xapi.call('VDI.get_virtual_size', ref))).toBe(size)
      const nowhere = { ...newVdi(xapi, size), SR: 'OpaqueRef:nowhere' }
      await expect(xapi.callAsync('VDI.create', nowhere)).rejects.toMatchObject({
        code: 'HANDLE_INVALID',
        params: ['SR', 'OpaqueRef:nowhere'],
      })
    })

    test.each(formatNames.flatMap((format) => lengths.map((length) => [format, length] as const)))(
      'imports %s of %s length, and exports it again',
      async (format, length) => {
        const xapi = await connect()
        const source = await createSource(await createTestFolder())
        const vdi = await createVdi(xapi)
        const image = await convertSource(source, format)
        const result = await importFile(xapi, vdi, image, format, length)
        expect(result).toBe(vdi.$ref)
        const exported = await exportFile(xapi, { vdi: vdi.$ref, format })
        await expectCleanImage(exported, format)
        await expectSameGuest([exported, format], [source, 'raw'])
        await untilNoTasks(xapi)
      },
    )

    test('a delta, restored onto its base', async () => {
      const xapi = await connect()
      const folder = await createTestFolder()
      const source = await createSource(folder, 'new.raw', 5)
      const [base, vdi] = [await createVdi(xapi), await createVdi(xapi)]
      await importFile(xapi, base, await createSource(folder, 'old.raw'), 'raw')
      await importFile(xapi, vdi, source, 'raw')
      for (const format of ['vhd', 'qcow2'] as const) {
        const delta = await exportFile(xapi, { vdi: vdi.$ref, base: base.$ref, format })
        await importFile(xapi, base, delta, format, 'unknown')
        await expectContent(xapi, base, source)
      }
    })

    test('the progress of an upload comes with the events, and its end', async () => {
      const xapi = await connect()
      const vdi = await createVdi(xapi)
      const task = await xapi.createTask('upload')
      const watched = xapi.watchTask(task)
      const body = Object.assign(new PassThrough(), { length: size })
      const done = xapi.putResource(body, importPath, {
        query: { vdi: vdi.$ref, format: 'raw' },
        task,
      })
      body.write(randomBytes(size / 2))
      const halfway = ({ $ref, progress, status }: CachedRecord): boolean =>
        $ref === task && Number(progress) > 0.4 && status === 'pending'
      expect(Number((await untilSeen(xapi, 'half of it', halfway)).progress)).toBeLessThan(0.6)
      body.end(randomBytes(size / 2))
      expect(await within('the upload', done)).toBe(vdi.$ref)
      expect(await watched).toBe(vdi.$ref)
    })

    test.each(['known', 'unknown'] as const)(
      'an upload of %s length that fails shows the reason of the server',
      async (length) => {
        const xapi = await connect()
        const folder = await createTestFolder()
        const vdi = await createVdi(xapi)
        const source = await createSource(folder)
        await importFile(xapi, vdi, source, 'raw')
        const garbage = join(folder, 'garbage')
        // Of unknown length: so short that it has been sent when the task fails. Else xen-api
        // leaves a rejection unhandled.
        await writeFile(garbage, randomBytes(length === 'known' ? 8 << 20 : 64 << 10))
        for (const format of ['vhd', 'qcow2'] as const) {
          const refused = importFile(xapi, vdi, garbage, format, length)
          await expect(within('the refusal', refused)).rejects.toMatchObject({
            code: 'IMPORT_ERROR_GENERIC',
            params: [expect.stringMatching(new RegExp(`^Cannot decode ${format}: `))],
          })
        }
        const large = await createRawSource(folder, 'large.raw', { size: 2 * size, parts: [] })
        const tooLarge = {
          code: 'VDI_TOO_SMALL',
          params: [`OpaqueRef:${vdi.uuid}`, expect.anything()],
        }
        // Of raw that tells no length, nobody knows how large it is: xen-api takes the cut for its
        // end.
        // An archive tells by its last block: what is refused then is that block.
        const tellSize = formatNames.filter((format) => format !== 'tar')
        for (const format of length === 'known' ? tellSize : (['qcow2'] as const)) {
          const refused = importFile(xapi, vdi, await convertSource(large, format), format, length)
          await expect(within(`the refusal of ${format}`, refused)).rejects.toMatchObject(tooLarge)
        }
        await expectContent(xapi, vdi, source)
      },
    )

    test('a VDI that another import holds is told too', async () => {
      const xapi = await connect()
      const vdi = await createVdi(xapi)
      const body = Object.assign(new PassThrough(), { length: size })
      const query = { vdi: vdi.$ref, format: 'raw' }
      const task = await xapi.createTask('first')
      const first = xapi.putResource(body, importPath, { query, task })
      body.write(randomBytes(size / 2))
      await untilSeen(xapi, 'some progress', begun(task))
      const source = await createSource(await createTestFolder())
      await expect(importFile(xapi, vdi, source, 'raw')).rejects.toMatchObject({
        code: 'OTHER_OPERATION_IN_PROGRESS',
        params: ['VDI', `OpaqueRef:${vdi.uuid}`],
      })
      body.end(randomBytes(size / 2))
      expect(await within('the first', first)).toBe(vdi.$ref)
    })

    test.each([
      ['by its CancelToken', { code: 'VDI_IO_ERROR' }],
      ['by task.cancel', { message: 'task canceled' }],
    ])('an upload is cancelled %s', async (how, outcome) => {
      const xapi = await connect()
      const vdi = await createVdi(xapi)
      const source = await createSource(await createTestFolder())
      await importFile(xapi, vdi, source, 'raw')
      const task = await xapi.createTask('upload')
      const watched = refusalOf(xapi.watchTask(task))
      const body = Object.assign(new PassThrough(), { length: size })
      const done = xapi.putResource(body, importPath, {
        query: { vdi: vdi.$ref, format: 'raw' },
        task,
      })
      body.write(randomBytes(size / 2))
      await untilSeen(xapi, 'some progress', begun(task))
      const ended = refusalOf(done)
      if (how === 'by task.cancel') await xapi.call('task.cancel', task)
      else void done.cancel()
      await within('the upload to end', ended)
      expect(await within('the task to end', watched)).toMatchObject(outcome)
      body.destroy()
      await expectContent(xapi, vdi, source)
      await untilNoTasks(xapi)
    })

    test.each(['by its CancelToken', 'by task.cancel'])(
      'a download is cancelled %s',
      async (how) => {
        const xapi = await connect()
        const vdi = await createVdi(xapi, 2 * size)
        const folder = await createTestFolder()
        const full = { size: 2 * size, parts: [[0, 2 * size]] as const }
        await importFile(xapi, vdi, await createRawSource(folder, 'full.raw', full), 'raw')
        const task = await xapi.createTask('download')
        const watched = refusalOf(xapi.watchTask(task))
        const download = xapi.getResource(exportPath, {
          query: { vdi: vdi.$ref, format: 'raw' },
          task,
        })
        const { body } = await download
        await within('the first bytes', firstBytes(body))
        const ended = refusalOf(pipeline(body, new PassThrough().resume()))
        if (how === 'by task.cancel') await xapi.call('task.cancel', task)
        else void download.cancel()
        await within('the download to break', ended)
        expect(await within('the task to end', watched)).toMatchObject({ message: 'task canceled' })
        await untilNoTasks(xapi)
      },
    )

    test('logs out, which ends its session, and connects again', async () => {
      const xapi = await connect()
      const watcher = await connect()
      const { sessionId } = xapi
      expect(await statusFor(server, sessionId)).toBe(404)
      await xapi.disconnect()
      expect(xapi.status).toBe('disconnected')
      await eventually('the session to end', async () =>
        (await statusFor(server, sessionId)) === 401 ? true : undefined,
      )
      await xapi.connect()
      expect(xapi.sessionId).not.toBe(sessionId)
      const vdi = await createVdi(watcher)
      await untilSeen(xapi, 'events after the second login', ({ uuid }) => uuid === vdi.uuid)
    })

    test('outlives a restart of the server', async () => {
      const first = await startServer()
      const xapi = await connectXenApi(first, { transport })
      await createVdi(xapi)
      await first.stop()
      const place = ['--listen', `${first.host}:${first.port}`]
      const second = await startServer({ dataFolder: first.dataFolder, args: place })
      expect(second.url).toBe(first.url)
      const watcher = await connectXenApi(second, { transport })
      const vdi = await createVdi(watcher)
      await untilSeen(xapi, 'events of the second', ({ uuid }) => uuid === vdi.uuid)
      expect(await xapi.call('VDI.get_uuid', vdi.$ref)).toBe(vdi.uuid)
    })

    test('makes the server complain of nothing', () => {
      expect(server.output()).not.toContain('"level":50')
    })
  },
)

test('a refused upload shows its XenAPI code, not only 409', async () => {
  const xapi = await connectXenApi(await startServer())
  const vdi = await createVdi(xapi)
  const snapshot = (await xapi.call('VDI.snapshot', vdi.$ref)) as string
  const source = await createSource(await createTestFolder())
  const refused = importFile(xapi, { ...vdi, $ref: snapshot }, source, 'raw')
  expect(await refusalOf(refused)).toMatchObject({ message: '409 VDI_READONLY' })
})
