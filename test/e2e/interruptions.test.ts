// Transfers that do not end as they should: a client that goes, a server that is killed or told to
// stop. What a VDI holds is always the old content or the new, never something between.

import { readdirSync, watch } from 'node:fs'
import { mkdtemp, readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatNames } from '../../src/format-table.ts'
import { curl } from '../support/curl.ts'
import { expectSameBytes } from '../support/disks.ts'
import { login } from '../support/json-rpc.ts'
import { listLayers, listStaging } from '../support/layers.ts'
import { rootPassword, startServer, type TestServer } from '../support/server.ts'
import { openDownload, openUpload } from '../support/slow-client.ts'
import {
  convertSource,
  createRawSource,
  expectCleanImage,
  expectSameGuest,
} from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import {
  asRoot,
  expectStatus,
  download,
  exportUrl,
  importUrl,
  uploadNew,
} from '../support/transfer.ts'
import { eventually, within } from '../support/wait.ts'

const newData = async (): Promise<string> => mkdtemp(join(tmpdir(), 'diskport-data-'))

/** An import ends on its own time after its client has gone: the next one shows when. */
const untilNoImport = (server: TestServer, uuid: string, source: string): Promise<true> =>
  eventually('the cut import to be over', async () => {
    const url = importUrl(server, { vdi: uuid, format: 'raw' })
    const { status } = await curl(...asRoot, '-T', source, url)
    return status === 409 ? undefined : true
  })

const untilStaged = (server: TestServer): Promise<string[]> =>
  eventually('a file in staging', async () => {
    const staged = await listStaging(server.dataFolder)
    return staged.length > 0 ? staged : undefined
  })

/** The server that is started again: no leftovers, and all that lies in the SR is whole. */
const expectTidy = async (server: TestServer, layers: readonly string[]): Promise<void> => {
  expect(await listStaging(server.dataFolder)).toEqual([])
  expect(await listLayers(server.dataFolder)).toEqual(layers)
  for (const path of layers) await expectCleanImage(join(server.dataFolder, path), 'qcow2')
}

/**
 * How far an import is when the server dies: its last byte sent, its layer in place, its answer
 * there.
 */
const moments = ['sent', 'sealed', 'sent', 'answered'] as const

/**
 * A layer that is not one of `layers` lies in its place. The folder tells it at once: the old layer
 * may be gone soon, so their number may never be seen to grow.
 */
const untilNewLayer = async (server: TestServer, layers: readonly string[]): Promise<void> => {
  const folder = join(server.dataFolder, dirname(layers[0]!))
  const old = new Set(layers.map((path) => basename(path)))
  const isNew = (name: string | null): boolean =>
    name?.endsWith('.qcow2') === true && !old.has(name)
  const seen = Promise.withResolvers<void>()
  const watcher = watch(folder, (_, name) => {
    if (isNew(name)) seen.resolve()
  })
  try {
    // It may have come before the watch.
    if (!readdirSync(folder).some(isNew)) await within('a new layer', seen.promise)
  } finally {
    watcher.close()
  }
}

const untilReached = async (
  moment: (typeof moments)[number],
  server: TestServer,
  layers: readonly string[],
  answer: Promise<unknown>,
): Promise<void> => {
  if (moment === 'answered') await answer
  if (moment === 'sealed') await untilNewLayer(server, layers)
}

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('interruptions', () => {
  test.each(formatNames)(
    'a %s upload whose client goes leaves the VDI as it was',
    async (format) => {
      const server = await startServer()
      const source = await createRawSource(await createTestFolder())
      const uuid = await uploadNew(server, source, 'raw')
      const next = await createRawSource(await createTestFolder(), 'next.raw', { seed: 2 })
      const bytes = await readFile(await convertSource(next, format))
      const layers = await listLayers(server.dataFolder)
      for (const length of [bytes.length, undefined]) {
        const slow = await openUpload(importUrl(server, { vdi: uuid, format }), length)
        await slow.write(bytes.subarray(0, bytes.length >> 1))
        slow.cut()
        const probe = await createRawSource(await createTestFolder(), 'probe.raw', {
          size: 512,
          parts: [[0, 512]],
        })
        await untilNoImport(server, uuid, probe)
      }
      const { bodyFile } = await download(server, uuid, 'raw')
      await expectSameGuest([bodyFile, 'raw'], [source, 'raw'])
      expect(await listStaging(server.dataFolder)).toEqual([])
      expect(await listLayers(server.dataFolder)).toEqual(expect.arrayContaining(layers))
    },
  )

  test('a body that ends before its Content-Length does is not committed', async () => {
    const server = await startServer()
    const rpc = await login(server)
    const source = await createRawSource(await createTestFolder())
    const uuid = await uploadNew(server, source, 'raw')
    const task = await rpc<string>('task.create', 'upload', '')
    const bytes = await readFile(
      await createRawSource(await createTestFolder(), 'next.raw', { seed: 2 }),
    )
    const { pathname, search } = new URL(
      importUrl(server, { vdi: uuid, format: 'raw', task_id: task }),
    )
    const socket = connect(server.port, server.host)
    socket.on('error', () => {})
    socket.write(
      `PUT ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n` +
        `Authorization: Basic ${Buffer.from(`root:${rootPassword}`).toString('base64')}\r\n\r\n`,
    )
    socket.end(bytes.subarray(0, bytes.length - 512))
    const record = await eventually('the task to end', async () => {
      const found = await rpc<{ status: string; error_info: string[] }>('task.get_record', task)
      return found.status === 'pending' ? undefined : found
    })
    expect(record.status).toBe('failure')
    expect(record.error_info[0]).toBe('VDI_IO_ERROR')
    const { bodyFile } = await download(server, uuid, 'raw')
    await expectSameGuest([bodyFile, 'raw'], [source, 'raw'])
    socket.destroy()
  })

  test.each(formatNames)(
    'kill -9 during a %s import: the old content, nothing else',
    async (format) => {
      const dataFolder = await newData()
      const first = await startServer({ dataFolder })
      const source = await createRawSource(await createTestFolder())
      const uuid = await uploadNew(first, source, 'raw')
      const layers = await listLayers(dataFolder)
      const next = await createRawSource(await createTestFolder(), 'next.raw', { seed: 2 })
      const bytes = await readFile(await convertSource(next, format))
      for (const target of [{ vdi: uuid }, { sr_uuid: 'default' }]) {
        if (format === 'raw' && 'sr_uuid' in target) continue
        const slow = await openUpload(importUrl(first, { ...target, format }))
        await slow.write(bytes.subarray(0, bytes.length >> 1))
        await untilStaged(first)
      }
      await first.kill()

      const second = await startServer({ dataFolder })
      await expectTidy(second, layers)
      expect(Object.keys(await (await login(second))<object>('VDI.get_all_records'))).toHaveLength(
        1,
      )
      const { bodyFile } = await download(second, uuid, 'raw')
      await expectSameGuest([bodyFile, 'raw'], [source, 'raw'])
    },
  )

  test('kill -9 around the commit: the old content or the new, as the answer said', async () => {
    const dataFolder = await newData()
    const folder = await createTestFolder()
    let server = await startServer({ dataFolder })
    let current = await createRawSource(folder, 'seed0.raw')
    const uuid = await uploadNew(server, current, 'raw')
    for (const [seed, moment] of moments.entries()) {
      const next = await createRawSource(folder, `seed${seed + 1}.raw`, { seed: seed + 1 })
      const before = await listLayers(dataFolder)
      const slow = await openUpload(importUrl(server, { vdi: uuid, format: 'raw' }))
      await slow.write(await readFile(next))
      const answer = slow.end().then(
        ({ status }) => status,
        () => undefined,
      )
      await untilReached(moment, server, before, answer)
      await server.kill()
      const told = await within('the connection to break', answer)
      server = await startServer({ dataFolder })
      expect(await listStaging(dataFolder)).toEqual([])
      for (const path of await listLayers(dataFolder)) {
        await expectCleanImage(join(dataFolder, path), 'qcow2')
      }
      const { bodyFile } = await download(server, uuid, 'raw')
      const found = await readFile(bodyFile)
      const isNew = found.equals(await readFile(next))
      expect(isNew || told !== 200).toBe(true)
      if (!isNew) expectSameBytes(found, await readFile(current), `killed when ${moment}`)
      else current = next
    }
  })

  test('SIGTERM lets a download end, refuses what is new, and exits with 0', async () => {
    const server = await startServer()
    const size = 64 << 20
    const source = await createRawSource(await createTestFolder(), 'source.raw', {
      size,
      parts: [[0, size]],
    })
    const uuid = await uploadNew(server, source, 'raw')
    const slow = await openDownload(exportUrl(server, uuid, 'raw'))
    const first = await slow.read(100_000)
    server.terminate()
    await eventually('new requests to be refused', async () => {
      const { status } = await curl(...asRoot, '--head', exportUrl(server, uuid, 'raw'))
      return status === 200 ? undefined : true
    })
    expectSameBytes(Buffer.concat([first, await slow.rest()]), await readFile(source))
    expect(await within('the server to end', server.exited)).toBe(0)
  })

  test('SIGTERM lets an upload end: its content is there after the restart', async () => {
    const dataFolder = await newData()
    const first = await startServer({ dataFolder })
    const folder = await createTestFolder()
    const uuid = await uploadNew(first, await createRawSource(folder), 'raw')
    const next = await createRawSource(folder, 'next.raw', { seed: 3 })
    const bytes = await readFile(next)
    const slow = await openUpload(importUrl(first, { vdi: uuid, format: 'raw' }), bytes.length)
    await slow.write(bytes.subarray(0, 5 << 20))
    first.terminate()
    await eventually('new requests to be refused', async () => {
      const { status } = await curl(...asRoot, '--head', exportUrl(first, uuid, 'raw'))
      return status === 200 ? undefined : true
    })
    await slow.write(bytes.subarray(5 << 20))
    expect((await slow.end()).status).toBe(200)
    expect(await within('the server to end', first.exited)).toBe(0)

    const second = await startServer({ dataFolder })
    const { bodyFile } = await download(second, uuid, 'raw')
    await expectSameGuest([bodyFile, 'raw'], [next, 'raw'])
  })

  test('a client that leaves in the middle of a download pins nothing', async () => {
    const server = await startServer({ args: ['--max-open-transfers', '1'] })
    const size = 64 << 20
    const source = await createRawSource(await createTestFolder(), 'source.raw', {
      size,
      parts: [[0, size]],
    })
    const uuid = await uploadNew(server, source, 'raw')
    for (const format of formatNames) {
      const slow = await openDownload(exportUrl(server, uuid, format))
      await slow.read(2048)
      const busy = await curl(...asRoot, exportUrl(server, uuid, format))
      await expectStatus(busy, 503)
      expect(busy.headers.get('retry-after')).toMatch(/^\d+$/)
      slow.cut()
      await eventually('the transfer to be over', async () => {
        const { status } = await curl(...asRoot, '-r', '0-9', exportUrl(server, uuid, format))
        return status === 206 ? true : undefined
      })
    }
    expect(server.output()).not.toContain('"level":50')
  })
})
