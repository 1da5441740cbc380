// Chains that grow by imports are merged in the background: nobody notices, whatever happens
// meanwhile.

import { createHash } from 'node:crypto'
import { mkdtemp, open, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { expectSameBytes, fillPattern } from '../support/disks.ts'
import { createVdi, login } from '../support/json-rpc.ts'
import { listLayers, listStaging } from '../support/layers.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { expectCleanImage } from '../support/sources.ts'
import { createTestFolder, hasTool, qemuImg, run } from '../support/tools.ts'
import { asRoot, download, expectStatus, exportUrl, upload } from '../support/transfer.ts'
import { eventually } from '../support/wait.ts'

const size = 6 << 20

/** Four stretches of 128 KiB, with the pattern of `seed`. */
const stretches = (seed: number) =>
  Array.from({ length: 4 }, (_, part) => {
    const bytes = Buffer.alloc(128 << 10)
    const offset = ((seed * 7 + part * 31) % 48) * bytes.length
    fillPattern(offset, bytes, seed)
    return { offset, bytes }
  })

/** Imports of deltas, a layer each, and what the disk then shows. */
const createGrowth = async (folder: string) => {
  const shown = Buffer.alloc(size)
  let seed = 0
  const add = async (server: TestServer, vdi: string, count: number): Promise<void> => {
    for (const end = seed + count; seed < end;) {
      seed += 1
      const raw = join(folder, `${seed}.raw`)
      await using file = await open(raw, 'w')
      await file.truncate(size)
      for (const { offset, bytes } of stretches(seed)) {
        await file.write(bytes, 0, bytes.length, offset)
        shown.set(bytes, offset)
      }
      const path = join(folder, `${seed}.qcow2`)
      await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', raw, path)
      await expectStatus(await upload(server, vdi, path, 'qcow2'), 200)
    }
  }
  return { shown, add }
}

const digest = async (server: TestServer, vdi: string, format: 'raw' | 'vhd' | 'qcow2') => {
  const { bodyFile } = await download(server, vdi, format)
  return createHash('sha256')
    .update(await readFile(bodyFile))
    .digest('hex')
}

const untilLayers = (server: TestServer, count: number): Promise<string[]> =>
  eventually(`${count} layers`, async () => {
    const layers = await listLayers(server.dataFolder)
    return layers.length === count ? layers : undefined
  })

/**
 * All that lies in the storage repository is a layer, whole, and part of one chain that qemu-img
 * follows.
 */
const expectTidyChain = async (server: TestServer, depth: number): Promise<void> => {
  expect(await listStaging(server.dataFolder)).toEqual([])
  const layers = (await listLayers(server.dataFolder)).map((path) => join(server.dataFolder, path))
  expect(layers).toHaveLength(depth)
  const lengths: number[] = []
  for (const path of layers) {
    await expectCleanImage(path, path.endsWith('.vhd') ? 'vhd' : 'qcow2')
    const { stdout } = await qemuImg('info', '--backing-chain', '--output=json', path)
    lengths.push((JSON.parse(stdout) as unknown[]).length)
  }
  // It knows no parents of VHD files.
  const isQcow2 = layers[0]!.endsWith('.qcow2')
  expect(lengths.toSorted((a, b) => a - b)).toEqual(layers.map((_, at) => (isQcow2 ? at + 1 : 1)))
}

type Moment = (server: TestServer) => Promise<boolean>

/** How far merging is when the server dies. */
const moments: Record<'begun' | 'staged' | 'merged' | 'whenever', Moment> = {
  begun: async (server: TestServer) => server.output().includes('"merging layers"'),
  staged: async (server: TestServer) =>
    (await listStaging(server.dataFolder)).length > 0 || moments.merged(server),
  merged: async (server: TestServer) => server.output().includes('"merged layers"'),
  whenever: async () => true,
}

/** Slowly it is met in the middle, fast when files change places, maps follow and layers go. */
const kills = [
  ['1', 'begun'],
  ['1', 'staged'],
  ['1', 'whenever'],
  ['100000', 'begun'],
  ['100000', 'merged'],
  ['100000', 'whenever'],
] as const

const newData = (): Promise<string> => mkdtemp(join(tmpdir(), 'diskport-data-'))

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('coalescing', () => {
  test.each(['qcow2', 'vhd'] as const)(
    'kill -9 at any moment of it: a %s disk stays what it was',
    async (format) => {
      const dataFolder = await newData()
      const first = await startServer({ dataFolder, args: ['--coalesce-rate', '0'] })
      const growth = await createGrowth(await createTestFolder())
      const sm_config = { 'image-format': format }
      const { uuid } = await createVdi(await login(first), size, { sm_config })
      await growth.add(first, uuid, 8)
      let last = await digest(first, uuid, 'qcow2')
      await first.kill()

      for (const [rate, moment] of kills) {
        const args = ['--max-chain-depth', '3', '--coalesce-rate', rate]
        const server = await startServer({ dataFolder, args })
        expect(await digest(server, uuid, 'qcow2')).toBe(last)
        await growth.add(server, uuid, 1)
        await eventually('the moment', async () => (await moments[moment](server)) || undefined)
        // In the middle of it; the next server shows whether that was right.
        last = await digest(server, uuid, 'qcow2')
        await server.kill()
      }

      const settled = await startServer({ dataFolder, args: ['--max-chain-depth', '3'] })
      await untilLayers(settled, 3)
      expect(await digest(settled, uuid, 'qcow2')).toBe(last)
      const raw = await digest(settled, uuid, 'raw')
      expect(raw).toBe(createHash('sha256').update(growth.shown).digest('hex'))
      expect(await settled.stop()).toBe(0)
      await expectTidyChain(settled, 3)
    },
    180_000,
  )

  test('a download that was cut before goes on after it, without If-Range', async () => {
    const dataFolder = await newData()
    const first = await startServer({ dataFolder, args: ['--coalesce-rate', '0'] })
    const growth = await createGrowth(await createTestFolder())
    const rpc = await login(first)
    const { uuid } = await createVdi(rpc, size)
    const { uuid: base } = await createVdi(rpc, size)
    await growth.add(first, uuid, 6)
    const images = [
      ['vhd', {}],
      ['qcow2', {}],
      ['vhd', { base }],
      ['qcow2', { base, delta: 'compact' }],
    ] as const
    const folder = await createTestFolder()
    const cut = await Promise.all(
      images.map(async ([format, more], index) => {
        const path = join(folder, `${index}.${format}`)
        const url = exportUrl(first, uuid, format, more)
        const whole = await curl(...asRoot, url)
        const bytes = await readFile(whole.bodyFile)
        await writeFile(path, bytes.subarray(0, Math.floor(bytes.length / 3)))
        return { path, bytes, etag: whole.headers.get('etag'), format, more }
      }),
    )
    await first.stop()

    const second = await startServer({ dataFolder, args: ['--max-chain-depth', '1'] })
    await untilLayers(second, 1)
    for (const { path, bytes, etag, format, more } of cut) {
      const url = exportUrl(second, uuid, format, more)
      await run('curl', ['-sS', '-f', ...asRoot, '-C', '-', '-o', path, url])
      expectSameBytes(await readFile(path), bytes, path)
      const head = await curl(...asRoot, '-I', url)
      expect([path, head.headers.get('etag')]).toEqual([path, etag])
    }
  })

  test('is seen as a task, in the log, and in what the disk takes', async () => {
    const server = await startServer({ args: ['--max-chain-depth', '2'] })
    const growth = await createGrowth(await createTestFolder())
    const rpc = await login(server)
    const { ref, uuid } = await createVdi(rpc, size)
    await growth.add(server, uuid, 5)
    await untilLayers(server, 2)
    interface Task {
      name_label: string
      status: string
      result: string
    }
    const task = await eventually('a task that has ended', async () => {
      const tasks = Object.values(await rpc<Record<string, Task>>('task.get_all_records'))
      const merging = tasks.filter(({ name_label }) => name_label.startsWith('Coalescing SR'))
      return merging.find(({ status }) => status === 'success')
    })
    expect(task.result).toMatch(/^<value>-?\d+<\/value>$/)
    expect(server.output()).toMatch(/"layers":\d+,"bytes":\d+,"msg":"merging layers"/)
    expect(server.output()).toMatch(/"bytes":\d+,"freed":-?\d+,"msg":"merged layers"/)
    const { physical_utilisation } = await rpc<{ physical_utilisation: string }>(
      'VDI.get_record',
      ref,
    )
    expect(Number(physical_utilisation)).toBeGreaterThan(0)
    expect(await digest(server, uuid, 'raw')).toBe(
      createHash('sha256').update(growth.shown).digest('hex'),
    )
  })
})
