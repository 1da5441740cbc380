// Layers at rest whose bytes have flipped: the storage is to blame, and says which file, whoever
// asks.

import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { MiB } from '../../src/units.ts'
import { curl } from '../support/curl.ts'
import type { Rpc, TaskRecord } from '../support/json-rpc.ts'
import { createVdi, login } from '../support/json-rpc.ts'
import { shareServer, type TestServer } from '../support/server.ts'
import { createRawSource } from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import { asRoot, expectStatus, exportUrl, importUrl, upload } from '../support/transfer.ts'
import { within } from '../support/wait.ts'

const size = 8 * MiB

/** The file of a new VDI of that format, with a MiB of data and a fragment of a cluster. */
const createLayer = async (server: TestServer, rpc: Rpc, format: string) => {
  const folders = await readdir(join(server.dataFolder, 'sr'))
  const folder = join(server.dataFolder, 'sr', folders[0]!)
  const before = new Set(await readdir(folder))
  const { uuid, ref } = await createVdi(rpc, size, { sm_config: { 'image-format': format } })
  const parts = [
    [MiB, MiB],
    [4 * MiB, 512],
  ] as const
  const source = await createRawSource(await createTestFolder(), 'source.raw', { size, parts })
  await expectStatus(await upload(server, ref, source, 'raw'), 200)
  const files = (await readdir(folder)).filter((name) => !before.has(name))
  const name = files.find((file) => file.endsWith(`.${format}`))!
  return { uuid, name, path: join(folder, name), map: join(folder, `${name}.map.json`) }
}

const flip = async (path: string, offset: number, mask = 0x40): Promise<void> => {
  await using file = await open(path, 'r+')
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, offset)
  buffer[0]! ^= mask
  await file.write(buffer, 0, 1, offset)
}

const u64At = async (path: string, offset: number): Promise<number> =>
  Number((await readFile(path)).readBigUInt64BE(offset) & 0x00ff_ffff_ffff_fe00n)

/** Each flips one byte of a structure. */
const damages: readonly [
  format: string,
  what: string,
  flip: (layer: { path: string; map: string }) => Promise<void>,
][] = [
  ['qcow2', 'the magic of its header', ({ path }) => flip(path, 0)],
  ['qcow2', 'the cluster size in its header', ({ path }) => flip(path, 23)],
  [
    'qcow2',
    'an entry of its L1 table',
    async ({ path }) => flip(path, (await u64At(path, 40)) + 3),
  ],
  [
    'qcow2',
    'an entry of an L2 table',
    async ({ path }) => flip(path, (await u64At(path, await u64At(path, 40))) + 16 * 8 + 3),
  ],
  [
    'vhd',
    'both footers',
    async ({ path }) => {
      await flip(path, 0)
      await flip(path, (await stat(path)).size - 512)
    },
  ],
  ['vhd', 'its header', ({ path }) => flip(path, 512)],
  [
    'vhd',
    'an entry of its block allocation table',
    async ({ path }) => flip(path, (await readFile(path)).readUInt32BE(512 + 20)),
  ],
  ['raw', 'the block map beside it', ({ map }) => flip(map, 0)],
]

describe.skipIf(!hasTool('curl'))('a damaged layer', async () => {
  const server = await shareServer()
  const rpc = await login(server)

  const failedTask = async (task: string): Promise<TaskRecord> =>
    within('the record of the task', rpc<TaskRecord>('task.get_record', task))

  test.each(damages)(
    '%s, %s: 500 VDI_IO_ERROR to the reader, the file in the log',
    async (format, _what, damage) => {
      const layer = await createLayer(server, rpc, format)
      await damage(layer)
      const task = await rpc<string>('task.create', 'export', '')
      const logged = server.output().length
      const answer = await curl(...asRoot, exportUrl(server, layer.uuid, 'vhd', { task_id: task }))
      await expectStatus(answer, 500)
      const said = await answer.text()
      expect(said).toContain('VDI_IO_ERROR: The file ')
      expect(said).toContain(`${layer.name} in the storage repository is damaged: `)
      const {
        status,
        error_info: [code, message],
      } = await failedTask(task)
      expect([status, code]).toEqual(['failure', 'VDI_IO_ERROR'])
      expect(message).toContain(layer.name)
      const line = server
        .output()
        .slice(logged)
        .split('\n')
        .find((text) => text.includes('an export was refused'))
      expect(line).toContain(layer.name)
      expect(line).toContain('"level":50')

      // A writer is not to blame either: a part of a cluster needs what lies below.
      const importTask = await rpc<string>('task.create', 'import', '')
      const query = { vdi: layer.uuid, format: 'raw', chunked: 'true' }
      const body = join(await createTestFolder(), 'chunks')
      await using file = await open(body, 'w')
      const head = Buffer.alloc(12)
      head.writeBigUInt64LE(BigInt(MiB + 512))
      head.writeUInt32LE(512, 8)
      await file.writeFile(Buffer.concat([head, Buffer.alloc(512, 5), Buffer.alloc(12)]))
      await expectStatus(await curl(...asRoot, '-T', body, importUrl(server, query)), 500)
      await curl(...asRoot, '-T', body, importUrl(server, { ...query, task_id: importTask }))
      expect(await failedTask(importTask)).toMatchObject({
        status: 'failure',
        error_info: ['VDI_IO_ERROR', expect.stringContaining(layer.name)],
      })
    },
  )

  test('is a VDI_IO_ERROR for calls too, and other VDIs are read', async () => {
    const broken = await createLayer(server, rpc, 'qcow2')
    const sound = await createLayer(server, rpc, 'qcow2')
    await flip(broken.path, 0)
    const copy = rpc('VDI.copy', broken.uuid, (await rpc<string[]>('SR.get_all'))[0])
    await expect(copy).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      params: [expect.stringContaining(broken.name)],
    })
    const extents = `${server.url}/vdi_extents?vdi=${broken.uuid}`
    await expectStatus(await curl(...asRoot, extents), 500)
    await expectStatus(await curl(...asRoot, exportUrl(server, sound.uuid, 'raw')), 200)
  })
})
