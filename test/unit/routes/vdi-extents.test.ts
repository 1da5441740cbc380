// GET and HEAD /vdi_extents over real sockets: ranges, refusals, and what becomes of a failure half
// way.

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createApp, createListener } from '../../../routes/app.ts'
import type { RouteContext } from '../../../routes/environment.ts'
import type { MapEntry } from '../../../src/disk/block-map-json.ts'
import type { Disk } from '../../../src/disk/disk.ts'
import type { Extent } from '../../../src/disk/extents.ts'
import { AppError } from '../../../src/errors.ts'
import { createHttpServer } from '../../../src/net/http-server.ts'
import type { Store } from '../../../src/store/files/store.ts'
import { KiB, MiB, TiB } from '../../../src/units.ts'
import { createTestStorage } from '../../support/storage.ts'
import { eventually, within } from '../../support/wait.ts'

const size = 4 * MiB

const start = async (
  wrap?: (store: Store) => Store,
  requirePermission: RouteContext['requirePermission'] = () => {},
) => {
  const on = await createTestStorage(wrap)
  const root = (await on.catalog.users.getByName('root'))!
  const authenticate = () => Promise.resolve({ user: root })
  const listener = createListener(
    createApp(
      { operations: on.context, stallTimeout: 900_000, authenticate, requirePermission },
      on.context.log,
      [],
    ),
  )
  const server = createHttpServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  const path = (query: Record<string, string | number>): string => {
    const search = new URLSearchParams()
    for (const [name, value] of Object.entries(query)) search.set(name, String(value))
    return `/vdi_extents?${search.toString()}`
  }
  const ask = (query: Record<string, string | number>, options?: RequestInit): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}${path(query)}`, options)
  const list = async (query: Record<string, string | number>): Promise<MapEntry[]> => {
    const response = await ask(query)
    expect(response.status).toBe(200)
    return (await response.json()) as MapEntry[]
  }
  return { ...on, port, path, ask, list }
}

/** Two layers: data, then data and zeros over it. */
const createChain = async ({ createVdi, write }: Awaited<ReturnType<typeof start>>) => {
  const vdi = await createVdi(size)
  await write(vdi, [{ offset: 0, length: MiB, seed: 1 }])
  await write(vdi, [
    { offset: 64 * KiB, length: 64 * KiB, seed: 2 },
    { offset: 256 * KiB, length: 128 * KiB },
    { offset: 3 * MiB, length: 64 * KiB, seed: 2 },
  ])
  return vdi
}

const entry = (
  start: number,
  length: number,
  depth: number,
  kind: 'data' | 'zero' | 'hole' | 'same',
): MapEntry => ({
  start,
  length,
  depth,
  present: kind === 'data' || kind === 'zero',
  zero: kind === 'zero' || kind === 'hole',
  data: kind === 'data',
})

const chainEntries = [
  entry(0, 64 * KiB, 1, 'data'),
  entry(64 * KiB, 64 * KiB, 0, 'data'),
  entry(128 * KiB, 128 * KiB, 1, 'data'),
  entry(256 * KiB, 128 * KiB, 0, 'zero'),
  entry(384 * KiB, 640 * KiB, 1, 'data'),
  entry(MiB, 2 * MiB, 1, 'hole'),
  entry(3 * MiB, 64 * KiB, 0, 'data'),
  entry(3 * MiB + 64 * KiB, 960 * KiB, 1, 'hole'),
]

/** Pages put together again: neighbours that are alike become one. */
const merge = (pages: readonly MapEntry[]): MapEntry[] => {
  const merged: MapEntry[] = []
  for (const page of pages) {
    const last = merged.at(-1)
    const alike =
      last !== undefined &&
      last.start + last.length === page.start &&
      JSON.stringify({ ...last, start: 0, length: 0 }) ===
        JSON.stringify({ ...page, start: 0, length: 0 })
    if (alike) merged[merged.length - 1] = { ...last, length: last.length + page.length }
    else merged.push(page)
  }
  return merged
}

describe('a whole VDI', () => {
  test('a chain, with the depth of the layer that answers', async () => {
    const on = await start()
    const vdi = await createChain(on)
    expect(await on.list({ vdi })).toEqual(chainEntries)
    expect(await on.list({ vdi: `OpaqueRef:${vdi}` })).toEqual(chainEntries)
  })

  test('without content it is one hole', async () => {
    const on = await start()
    expect(await on.list({ vdi: await on.createVdi(size) })).toEqual([entry(0, size, 0, 'hole')])
  })

  test('the answer is the same whether the maps are known or not', async () => {
    const on = await start()
    const vdi = await createChain(on)
    const cold = await on.list({ vdi })
    await on.read(vdi)
    expect(await on.list({ vdi })).toEqual(cold)
  })
})

describe('a difference', () => {
  test('is what the layers between hold; of the rest nothing is said', async () => {
    const on = await start()
    const vdi = await on.createVdi(size)
    await on.write(vdi, [{ offset: 0, length: MiB, seed: 1 }])
    const base = await on.clone(vdi)
    await on.write(vdi, [
      { offset: 64 * KiB, length: 64 * KiB, seed: 1 },
      { offset: 256 * KiB, length: 128 * KiB },
    ])
    const changed = [
      entry(0, 64 * KiB, 0, 'same'),
      entry(64 * KiB, 64 * KiB, 0, 'data'),
      entry(128 * KiB, 128 * KiB, 0, 'same'),
      entry(256 * KiB, 128 * KiB, 0, 'zero'),
      entry(384 * KiB, size - 384 * KiB, 0, 'same'),
    ]
    expect(await on.list({ vdi, base })).toEqual(changed)
    // The first stretch was written with what was there before.
    const narrowed = await on.list({ vdi, base, narrow: 'true' })
    expect(narrowed).toEqual([entry(0, 256 * KiB, 0, 'same'), ...changed.slice(3)])
    expect(await on.list({ vdi, base: vdi })).toEqual([entry(0, size, 0, 'same')])
  })
})

describe('ranges', () => {
  test.each([
    ['in a stretch', { offset: 100, length: 200 }, [entry(100, 200, 1, 'data')]],
    ['from an offset to the end', { offset: 3 * MiB }, chainEntries.slice(6)],
    ['of a length from the start', { length: 1 }, [entry(0, 1, 1, 'data')]],
    ['of nothing', { offset: 5, length: 0 }, []],
    ['of nothing, at the very end', { offset: size }, []],
  ])('%s', async (_name, range, expected) => {
    const on = await start()
    expect(await on.list({ vdi: await createChain(on), ...range })).toEqual(expected)
  })

  test('of any lengths, put together, are the whole', async () => {
    const on = await start()
    const vdi = await createChain(on)
    const base = await on.clone(vdi)
    await on.write(vdi, [{ offset: MiB, length: 64 * KiB, seed: 2 }])
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: size }), { maxLength: 5 }),
        fc.boolean(),
        async (cuts, isDelta) => {
          const query = isDelta ? { vdi, base } : { vdi }
          const pages: MapEntry[] = []
          const edges = [...cuts, size].toSorted((a, b) => a - b)
          for (const [index, edge] of edges.entries()) {
            const offset = edges[index - 1] ?? 0
            pages.push(...(await on.list({ ...query, offset, length: edge - offset })))
          }
          expect(merge(pages)).toEqual(await on.list(query))
        },
      ),
      { numRuns: 15 },
    )
  })

  test.each([
    ['a negative offset', { offset: '-1' }, /offset is "-1", must be a whole number of bytes/],
    ['a length with a unit', { length: '4KiB' }, /length is "4KiB"/],
    ['a fraction', { length: '1.5' }, /length is "1.5"/],
    ['a number too large to count', { offset: '9007199254740993' }, /offset is "9007199254740993"/],
    [
      'an offset after the end',
      { offset: size + 1 },
      /0 bytes at 4194305 leave the VDI .* 4194304 bytes \(4 MiB\)/,
    ],
    ['a length over the end', { offset: 1, length: size }, /4194304 bytes at 1 leave the VDI/],
    ['a flag that is none', { narrow: 'perhaps' }, /narrow/],
  ])('%s is 400', async (_name, range, message) => {
    const on = await start()
    const response = await on.ask({ vdi: await on.createVdi(size), ...range })
    expect([response.status, await response.text()]).toEqual([400, expect.stringMatching(message)])
  })
})

describe('answers', () => {
  test('have an exact content type, a tag of content and range, and are not kept', async () => {
    const on = await start()
    const vdi = await createChain(on)
    const tagOf = async (query: Record<string, string | number>, method = 'GET') => {
      const response = await on.ask(query, { method })
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toBe('application/json')
      expect(response.headers.get('cache-control')).toBe('no-cache, no-store')
      expect((await response.text()) === '').toBe(method === 'HEAD')
      return response.headers.get('etag')
    }
    const whole = await tagOf({ vdi })
    expect(await tagOf({ vdi }, 'HEAD')).toBe(whole)
    expect(await tagOf({ vdi, offset: 0, length: size })).toBe(whole)
    const others = [
      await tagOf({ vdi, offset: 512 }),
      await tagOf({ vdi, length: 512 }),
      await tagOf({ vdi, base: vdi }),
    ]
    await on.write(vdi, [{ offset: 0, length: 512, seed: 3 }])
    expect(new Set([whole, ...others, await tagOf({ vdi })]).size).toBe(5)
  })

  test('what is not there is 404, who may not 403, who is nobody 401', async () => {
    const on = await start()
    const vdi = await on.createVdi(size)
    expect((await on.ask({ vdi: randomUUID() })).status).toBe(404)
    expect((await on.ask({ vdi, base: randomUUID() })).status).toBe(404)
    expect((await on.ask({})).status).toBe(400)
    for (const [code, status] of [
      ['SESSION_INVALID', 401],
      ['RBAC_PERMISSION_DENIED', 403],
    ] as const) {
      const asked: string[] = []
      const denied = await start(undefined, (_identity, permission) => {
        asked.push(permission)
        throw new AppError(code, ['p', 'w'])
      })
      const response = await denied.ask({ vdi }, { headers: { accept: 'application/json' } })
      expect(response.status).toBe(status)
      expect(await response.json()).toMatchObject({ code })
      expect(asked).toEqual(['http/get_export_raw_vdi'])
    }
  })
})

/** A store whose layers are never read to the end, unless the reader is told to stop. */
const stuckStore =
  (onRead: () => void) =>
  (store: Store): Store => ({
    ...store,
    async openLayer(layer) {
      const disk = await store.openLayer(layer)
      return {
        ...disk,
        read: (_offset, _target, signal) =>
          new Promise((_resolve, reject) => {
            onRead()
            signal?.addEventListener('abort', () => reject(signal.reason as Error))
          }),
      } satisfies Disk
    },
  })

describe('a client that leaves while content is compared', () => {
  test.each(['/vdi_extents', '/export_raw_vdi'])('%s ends the comparison', async (route) => {
    let reads = 0
    const on = await start(stuckStore(() => (reads += 1)))
    const [vdi, base] = [await on.createVdi(size), await on.createVdi(size)]
    await on.write(vdi, [{ offset: 0, length: MiB, seed: 1 }])
    await on.write(base, [{ offset: 0, length: MiB, seed: 2 }])
    const query = `${route}?vdi=${vdi}&base=${base}&narrow=true&format=vhd`
    const leave = new AbortController()
    const asking = fetch(`http://127.0.0.1:${on.port}${query}`, { signal: leave.signal })
    await eventually('a read', async () => reads > 0 || undefined)
    leave.abort()
    await expect(asking).rejects.toThrow(/abort/)
    await eventually(
      'the transfer to end',
      async () => on.context.transfers.running === 0 || undefined,
    )
    for (const uuid of [vdi, base]) await on.catalog.vdis.destroy(uuid)
    on.storage.upkeep.collect(on.srUuid)
    await on.storage.upkeep.settled()
    expect(await on.catalog.layers.list(on.srUuid)).toEqual([])
  })
})

/** A store whose layers tell `count` extents of 64 KiB, one after the other data and hole. */
const longStore =
  (count: number, told: { extents: number }, failure?: Error) =>
  (store: Store): Store => ({
    ...store,
    async openLayer(layer) {
      const disk = await store.openLayer(layer)
      async function* extents(): AsyncGenerator<Extent, void, undefined> {
        for (let index = 0; index < count; index += 1) {
          told.extents += 1
          yield {
            offset: index * 64 * KiB,
            length: 64 * KiB,
            kind: index % 2 === 0 ? 'data' : 'hole',
          }
        }
        if (failure !== undefined) throw failure
      }
      const long: Disk = { ...disk, extents }
      return long
    },
  })

describe('a long list', () => {
  test('that fails half way breaks off, and never ends as if whole', async () => {
    const on = await start(
      longStore(3000, { extents: 0 }, new AppError('VDI_IO_ERROR', ['sector lost'])),
    )
    const vdi = await on.createVdi(3000 * 64 * KiB)
    await on.write(vdi, [{ offset: 0, length: 64 * KiB, seed: 1 }])
    const socket = connect(on.port, '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    socket.end(`GET ${on.path({ vdi })} HTTP/1.1\r\nHost: a\r\n\r\n`)
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
    socket.on('error', () => {})
    await within('the connection to close', once(socket, 'close'))
    expect(text).toMatch(/^HTTP\/1\.1 200 OK/)
    expect(text.length).toBeGreaterThan(64 * KiB)
    expect(text).not.toContain('0\r\n\r\n')
    expect(text.trimEnd().endsWith(']')).toBe(false)
    expect(on.context.transfers.running).toBe(0)
  })

  test('that fails at once is refused with a status', async () => {
    const on = await start(
      longStore(3, { extents: 0 }, new AppError('VDI_IO_ERROR', ['sector lost'])),
    )
    const vdi = await on.createVdi(3 * 64 * KiB)
    await on.write(vdi, [{ offset: 0, length: 64 * KiB, seed: 1 }])
    const response = await on.ask({ vdi })
    expect([response.status, await response.text()]).toEqual([
      500,
      expect.stringMatching('sector lost'),
    ])
  })

  test('is told no faster than it is taken, and no longer than somebody takes it', async () => {
    const told = { extents: 0 }
    const count = 5_000_000
    const on = await start(longStore(count, told))
    const vdi = await on.createVdi(TiB)
    await on.write(vdi, [{ offset: 0, length: 64 * KiB, seed: 1 }])
    const leave = new AbortController()
    const response = await on.ask({ vdi }, { signal: leave.signal })
    const reader = response.body!.getReader()
    for (let read = 0; read < MiB;) read += (await reader.read()).value!.length
    leave.abort()
    await eventually(
      'the transfer to end',
      async () => on.context.transfers.running === 0 || undefined,
    )
    // An entry has about 90 characters: what lies between the two are the buffers of the
    // connection.
    expect(told.extents).toBeLessThan(count / 10)
    await on.catalog.vdis.destroy(vdi)
    on.storage.upkeep.collect(on.srUuid)
    await on.storage.upkeep.settled()
    expect(await on.catalog.layers.list(on.srUuid)).toEqual([])
  })

  test('that nobody interrupts is whole', async () => {
    const on = await start(longStore(50_000, { extents: 0 }))
    const vdi = await on.createVdi(50_000 * 64 * KiB)
    await on.write(vdi, [{ offset: 0, length: 64 * KiB, seed: 1 }])
    const entries = await on.list({ vdi })
    expect(entries.length).toBe(50_000)
    expect(entries.at(-1)).toEqual(entry(49_999 * 64 * KiB, 64 * KiB, 0, 'hole'))
  })
})
