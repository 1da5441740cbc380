// A disk that is backed up again and again, and a second one that follows by the deltas: what lies
// in the storage repository stays as small as at the beginning, whole, and in chains that qemu-img
// follows.

import { mkdtemp, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { createVdi, login, type Rpc } from '../support/json-rpc.ts'
import { listStaging } from '../support/layers.ts'
import { startServer, type TestServer } from '../support/server.ts'
import {
  convertSource,
  createRawSource,
  expectCleanImage,
  expectSameGuest,
} from '../support/sources.ts'
import { createTestFolder, hasTool, qemuImg } from '../support/tools.ts'
import { asRoot, download, expectStatus, exportUrl, upload } from '../support/transfer.ts'
import { eventually } from '../support/wait.ts'

const size = 8 << 20
const depth = 3

/** What a file of so small a disk holds beside data, at most. */
const metadataSize = 512 << 10

/** Quick enough that it keeps up. */
const args = ['--max-chain-depth', String(depth), '--coalesce-rate', '100000']

const formats = { vhd: 'qcow2', qcow2: 'vhd', raw: 'qcow2' } as const

/** All files of the storage repositories, with their sizes. */
const listFiles = async (dataFolder: string): Promise<Map<string, number>> => {
  const names = await readdir(join(dataFolder, 'sr'), { recursive: true })
  const files = new Map<string, number>()
  for (const name of names) {
    // What is deleted meanwhile is not there.
    const found = await stat(join(dataFolder, 'sr', name)).catch(() => undefined)
    if (found?.isFile()) files.set(name, found.size)
  }
  return files
}

const isLayer = (name: string): boolean => /\.(qcow2|vhd|raw)$/.test(name)

/** Without what stands after the uuid: a layer and the map beside it share it. */
const stemOf = (name: string): string => name.replace(/\..*$/, '')

/**
 * Returns when merging has brought the disks down to `count` layers and no file is left of the
 * others; all files.
 */
const untilLayers = (server: TestServer, count: number): Promise<Map<string, number>> =>
  eventually(`${count} layers and nothing beside`, async () => {
    const files = await listFiles(server.dataFolder)
    const layers = [...files.keys()].filter(isLayer)
    const stems = new Set(layers.map(stemOf))
    const isSettled =
      layers.length === count && [...files.keys()].every((name) => stems.has(stemOf(name)))
    return isSettled ? files : undefined
  })

/** One round: a change, a snapshot, its delta onto the one before, which goes; the new snapshot. */
const backUp = async (
  server: TestServer,
  rpc: Rpc,
  disks: { vdi: string; copy: string; last: string; format: 'vhd' | 'qcow2' },
  round: number,
): Promise<string> => {
  const { vdi, copy, last, format } = disks
  const folder = await createTestFolder()
  const parts = [
    [((round * 37) % 120) << 16, 1 << 16],
    [((round * 53) % 120) << 16, 4096],
  ] as const
  const raw = await createRawSource(folder, 'change.raw', { size, parts: [...parts], seed: round })
  await expectStatus(await upload(server, vdi, await convertSource(raw, 'qcow2'), 'qcow2'), 200)
  const next = (await rpc<string>('VDI.snapshot', `OpaqueRef:${vdi}`, {})).slice(10)
  const delta = await curl(...asRoot, exportUrl(server, next, format, { base: last }))
  await expectStatus(delta, 200)
  await expectStatus(await upload(server, copy, delta.bodyFile, format), 200)
  // Some lose their data first, and some leave a clone behind for a moment.
  if (round % 3 === 0) await rpc('VDI.data_destroy', `OpaqueRef:${last}`)
  const clone = round % 5 === 0 ? await rpc<string>('VDI.clone', `OpaqueRef:${next}`, {}) : ''
  await rpc('VDI.destroy', `OpaqueRef:${last}`)
  if (clone !== '') await rpc('VDI.destroy', clone)
  return next
}

/** Each file is whole, and the chains that qemu-img finds are no longer than they may be. */
const expectTidy = async (server: TestServer): Promise<void> => {
  expect(await listStaging(server.dataFolder)).toEqual([])
  const layers = [...(await listFiles(server.dataFolder)).keys()].filter(isLayer)
  for (const name of layers) {
    const path = join(server.dataFolder, 'sr', name)
    const format = name.slice(name.lastIndexOf('.') + 1) as 'vhd' | 'qcow2' | 'raw'
    await expectCleanImage(path, format)
    if (format !== 'qcow2') continue
    const { stdout } = await qemuImg('info', '--backing-chain', '--output=json', path)
    expect((JSON.parse(stdout) as unknown[]).length).toBeLessThanOrEqual(depth)
  }
}

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('backups without end', () => {
  test.each([
    ['qcow2', 30],
    ['vhd', 10],
    ['raw', 10],
  ] as const)(
    'of a disk that lies in %s: after %d no more is left than after 5',
    async (atRest, roundCount) => {
      const dataFolder = await mkdtemp(join(tmpdir(), 'diskport-data-'))
      const server = await startServer({ dataFolder, args })
      const rpc = await login(server)
      const sm_config = { 'image-format': atRest }
      const vdi = await createVdi(rpc, size, { sm_config })
      const copy = await createVdi(rpc, size, { sm_config })
      await rpc('VDI.enable_cbt', vdi.ref)
      const parts = [[1 << 20, 3 << 20]] as const
      const raw = await createRawSource(await createTestFolder(), 'first.raw', {
        size,
        parts: [...parts],
      })
      for (const { uuid } of [vdi, copy]) {
        await expectStatus(await upload(server, uuid, raw, 'raw'), 200)
      }
      let last = (await rpc<string>('VDI.snapshot', vdi.ref, {})).slice(10)
      const settled: Map<string, number>[] = []
      for (let round = 1; round <= roundCount; round += 1) {
        const format = formats[atRest]
        last = await backUp(server, rpc, { vdi: vdi.uuid, copy: copy.uuid, last, format }, round)
        if (round % 5 === 0) settled.push(await untilLayers(server, 2 * depth))
      }
      // A layer has at most a map beside it. None is larger than the disk: so many bytes and no
      // more.
      for (const files of settled) {
        expect(files.size).toBeLessThanOrEqual(4 * depth)
        expect(Math.max(...files.values())).toBeLessThan(size + metadataSize)
      }

      const shown = (await download(server, vdi.uuid, 'raw')).bodyFile
      await expectSameGuest(
        [(await download(server, copy.uuid, 'raw')).bodyFile, 'raw'],
        [shown, 'raw'],
      )
      expect(await server.stop()).toBe(0)
      await expectTidy(server)

      const again = await startServer({ dataFolder, args })
      expect(await listFiles(dataFolder)).toEqual(settled.at(-1))
      for (const uuid of [vdi.uuid, copy.uuid, last]) {
        const { bodyFile } = await download(again, uuid, 'raw')
        await expectSameGuest([bodyFile, 'raw'], [shown, 'raw'])
      }
      expect(server.output() + again.output()).not.toContain('"level":50')
    },
    180_000,
  )
})
