// What is allocated and what differs, asked of the real server with curl: against `qemu-img map`,
// as narrowed deltas, and as the bitmap of XenAPI.

import { open, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { listLayers, topLayer } from '../support/layers.ts'
import { login } from '../support/json-rpc.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { convertSource, createRawSource, expectSameGuest, sourceSize } from '../support/sources.ts'
import { createTestFolder, hasTool, qemuImg } from '../support/tools.ts'
import {
  asRoot,
  download,
  expectStatus,
  exportUrl,
  upload,
  uploadNew,
} from '../support/transfer.ts'

interface Entry {
  readonly start: number
  readonly length: number
  readonly depth: number
  readonly present: boolean
  readonly zero: boolean
  readonly data: boolean
}

const extentsUrl = (server: TestServer, query: Record<string, string>): string =>
  `${server.url}/vdi_extents?${new URLSearchParams(query).toString()}`

const listExtents = async (server: TestServer, query: Record<string, string>): Promise<Entry[]> => {
  const answer = await curl(...asRoot, extentsUrl(server, query))
  await expectStatus(answer, 200)
  expect(answer.headers.get('content-type')).toBe('application/json')
  return JSON.parse(await answer.text()) as Entry[]
}

/** As qemu-img shows the file, without what depends on its layout. */
const qemuMap = async (path: string, format: string): Promise<Entry[]> => {
  const { stdout } = await qemuImg('map', '-f', format, '--output=json', path)
  return (JSON.parse(stdout) as Entry[]).map(({ start, length, depth, present, zero, data }) => ({
    start,
    length,
    depth,
    present,
    zero,
    data,
  }))
}

const dataOf = (entries: readonly Entry[]): (readonly [number, number])[] =>
  entries.filter(({ data }) => data).map(({ start, length }) => [start, length])

const endOf = (entries: readonly Entry[]): number => entries.at(-1)!.start + entries.at(-1)!.length

const half = 12 << 20

/** Two disks that are equal in their first half. */
const createPair = async (folder: string) => {
  const parts = (seed: number) => ({ parts: [[0, sourceSize]] as const, seed })
  const one = await createRawSource(folder, 'one.raw', parts(1))
  const other = await createRawSource(folder, 'other.raw', parts(2))
  await using file = await open(other, 'r+')
  await file.write((await readFile(one)).subarray(0, half), 0, half, 0)
  return { one, other }
}

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('what is allocated', () => {
  test('a chain of QCOW2 layers, exactly as qemu-img maps it', async () => {
    const server = await startServer()
    const folder = await createTestFolder()
    const below = await convertSource(await createRawSource(folder), 'qcow2')
    const vdi = await uploadNew(server, below, 'qcow2')
    const above = await createRawSource(folder, 'above.raw', {
      parts: [
        [2 << 20, 4 << 20],
        [20 << 20, 65_536],
      ],
      seed: 3,
    })
    await expectStatus(await upload(server, vdi, await convertSource(above, 'qcow2'), 'qcow2'), 200)
    const layers = await listLayers(server.dataFolder)
    expect(layers).toHaveLength(2)
    const top = await topLayer(layers.map((path) => join(server.dataFolder, path)))
    expect(await listExtents(server, { vdi })).toEqual(await qemuMap(top, 'qcow2'))
  })

  test.each(['vhd', 'raw'] as const)(
    'a disk from %s, as the QCOW2 that it is exported in',
    async (format) => {
      const server = await startServer()
      const source = await convertSource(await createRawSource(await createTestFolder()), format)
      const vdi = await uploadNew(server, source, format)
      const { bodyFile } = await download(server, vdi, 'qcow2')
      const entries = await listExtents(server, { vdi })
      const expected = await qemuMap(bodyFile, 'qcow2')
      expect(dataOf(entries)).toEqual(dataOf(expected))
      expect(endOf(entries)).toBe(endOf(expected))
    },
  )

  test('a difference is what the compact delta holds', async () => {
    const server = await startServer()
    const folder = await createTestFolder()
    const vdi = await uploadNew(server, await createRawSource(folder), 'raw')
    const base = await uploadNew(
      server,
      await createRawSource(folder, 'b.raw', { parts: [[1 << 20, 3 << 20]], seed: 2 }),
      'raw',
    )
    const url = exportUrl(server, vdi, 'qcow2', { base, delta: 'compact' })
    const { bodyFile } = await curl(...asRoot, url)
    await qemuImg('rebase', '-u', '-b', '', bodyFile)
    const shape = (entries: readonly Entry[]) =>
      entries.map(({ start, length, present, data }) => ({ start, length, present, data }))
    expect(shape(await listExtents(server, { vdi, base }))).toEqual(
      shape(await qemuMap(bodyFile, 'qcow2')),
    )
  })
})

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('narrowed deltas', () => {
  test('of disks that share no layer leave out what is equal, and resume like any export', async () => {
    const server = await startServer()
    const folder = await createTestFolder()
    const { one, other } = await createPair(folder)
    const [vdi, base] = [await uploadNew(server, other, 'raw'), await uploadNew(server, one, 'raw')]
    const all = await curl(...asRoot, exportUrl(server, vdi, 'vhd', { base, narrow: 'false' }))
    const url = exportUrl(server, vdi, 'vhd', { base })
    const head = await curl(...asRoot, '--head', url)
    const delta = await curl(...asRoot, url)
    expect((await stat(all.bodyFile)).size).toBeGreaterThan(sourceSize)
    expect((await stat(delta.bodyFile)).size).toBeLessThan(sourceSize - half + (3 << 20))
    expect(delta.headers.get('content-length')).toBe(head.headers.get('content-length'))
    expect(delta.headers.get('etag')).toBe(head.headers.get('etag'))
    expect(delta.headers.get('etag')).not.toBe(all.headers.get('etag'))
    const asked = await curl(...asRoot, exportUrl(server, vdi, 'vhd', { base, narrow: 'true' }))
    expect(asked.headers.get('etag')).toBe(delta.headers.get('etag'))
    const rest = await curl(
      ...asRoot,
      '-r',
      '5000000-',
      '-H',
      `If-Range: ${delta.headers.get('etag')}`,
      url,
    )
    await expectStatus(rest, 206)
    const [whole, part] = [await readFile(delta.bodyFile), await readFile(rest.bodyFile)]
    expect(part.equals(whole.subarray(5_000_000))).toBe(true)
    await expectStatus(await upload(server, base, delta.bodyFile, 'vhd'), 200)
    const restored = await download(server, base, 'raw')
    await expectSameGuest([restored.bodyFile, 'raw'], [other, 'raw'])
  })

  test('the task shows both halves, and ends', async () => {
    const server = await startServer()
    const { one, other } = await createPair(await createTestFolder())
    const [vdi, base] = [await uploadNew(server, other, 'raw'), await uploadNew(server, one, 'raw')]
    const rpc = await login(server)
    const task = await rpc<string>('task.create', 'narrowed', '')
    await expectStatus(
      await curl(...asRoot, exportUrl(server, vdi, 'vhd', { base, task_id: task })),
      200,
    )
    expect(await rpc('task.get_record', task)).toMatchObject({ status: 'success', progress: 1 })
  })
})

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('the list of changed blocks', () => {
  test('has a bit for each 64 KiB that an import wrote', async () => {
    const server = await startServer()
    const folder = await createTestFolder()
    const empty = await uploadNew(
      server,
      await createRawSource(folder, 'e.raw', { parts: [] }),
      'raw',
    )
    const vdi = await uploadNew(
      server,
      await createRawSource(folder, 'v.raw', {
        parts: [
          [65_536, 131_072],
          [sourceSize - 512, 512],
        ],
      }),
      'raw',
    )
    const rpc = await login(server)
    const list = (from: string, to: string): Promise<string> =>
      rpc('VDI.list_changed_blocks', `OpaqueRef:${from}`, `OpaqueRef:${to}`)
    const expected = Buffer.alloc(52)
    expected[0] = 0b0110_0000
    // 24 MiB and one sector are 385 blocks.
    expected[48] = 0b1000_0000
    expect(await list(empty, vdi)).toBe(expected.toString('base64'))
    expect(await list(vdi, vdi)).toBe(Buffer.alloc(52).toString('base64'))
  })
})
