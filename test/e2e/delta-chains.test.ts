// Base plus delta is the disk, as tools of others see it that follow chains: qemu-img for QCOW2,
// 7-Zip for VHD. Neither asks the server anything: the files lie on each other as they came.

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { FormatName } from '../../src/format-table.ts'
import { formatsAtRest } from '../../src/format-table.ts'
import { curl } from '../support/curl.ts'
import { createVdi, login, type Rpc } from '../support/json-rpc.ts'
import { listLayers } from '../support/layers.ts'
import { shareServer, type TestServer } from '../support/server.ts'
import {
  convertSource,
  createRawSource,
  expectCleanImage,
  expectSameGuest,
} from '../support/sources.ts'
import { createTestFolder, hasTool, qemuImg, run } from '../support/tools.ts'
import { asRoot, download, expectStatus, exportUrl, upload } from '../support/transfer.ts'
import { eventually } from '../support/wait.ts'

const size = (9 << 20) + 512
const grownSize = (13 << 20) + 1024

type Parts = readonly (readonly [offset: number, length: number])[]

/** Writes the parts, and nothing else, as an image that is no larger than the disk. */
const change = async (
  server: TestServer,
  vdi: string,
  { diskSize = size, parts, seed }: { diskSize?: number; parts: Parts; seed: number },
): Promise<void> => {
  const more = { size: diskSize, parts: [...parts], seed }
  const raw = await createRawSource(await createTestFolder(), 'change.raw', more)
  await expectStatus(await upload(server, vdi, await convertSource(raw, 'qcow2'), 'qcow2'), 200)
}

const written: Parts = [
  [0, 3 << 20],
  [size - 4096, 4096],
]
const changes: readonly Parts[] = [
  [[512, 1024]],
  [[5 << 20, 70_144]],
  [
    [1 << 20, 65_536],
    [size - 512, 512],
  ],
]

/**
 * Disks that are related as disks are: one that was written in many steps since its snapshot,
 * merged meanwhile, and grown; a clone of the snapshot that went another way; one that has nothing
 * to do with them.
 */
const createDisks = async (server: TestServer, rpc: Rpc, atRest: FormatName) => {
  const create = async (parts: Parts, seed: number) => {
    const disk = await createVdi(rpc, size, { sm_config: { 'image-format': atRest } })
    const more = { size, parts: [...parts], seed }
    const raw = await createRawSource(await createTestFolder(), 'first.raw', more)
    await expectStatus(await upload(server, disk.uuid, raw, 'raw'), 200)
    return disk
  }
  const vdi = await create(written, 1)
  const snapshot = await rpc<string>('VDI.snapshot', vdi.ref, {})
  for (const [index, parts] of changes.entries()) {
    await change(server, vdi.uuid, { parts, seed: index + 2 })
  }
  await rpc('VDI.resize', vdi.ref, String(grownSize))
  const beyond: Parts = [[size - 512, 4 << 20]]
  await change(server, vdi.uuid, { diskSize: grownSize, parts: beyond, seed: 8 })
  await eventually('one layer on that of the snapshot', async () =>
    (await listLayers(server.dataFolder)).length === 2 ? true : undefined,
  )
  const clone = await rpc<string>('VDI.clone', snapshot, {})
  const uuid = await rpc<string>('VDI.get_uuid', clone)
  const apart: Parts = [
    [2 << 20, 65_536],
    [5 << 20, 512],
  ]
  await change(server, uuid, { parts: apart, seed: 9 })
  const other = await create([[4 << 20, 3 << 20]], 10)
  return {
    grown: vdi.uuid,
    snapshot: await rpc<string>('VDI.get_uuid', snapshot),
    clone: uuid,
    other: other.uuid,
  }
}

type Disks = Awaited<ReturnType<typeof createDisks>>

const pairs: readonly (readonly [disk: keyof Disks, base: keyof Disks])[] = [
  ['grown', 'snapshot'],
  ['grown', 'clone'],
  ['clone', 'snapshot'],
  ['clone', 'grown'],
  ['grown', 'other'],
  ['other', 'grown'],
]

const downloadTo = async (path: string, url: string): Promise<void> =>
  expectStatus(await curl(...asRoot, '-o', path, url), 200)

const virtualSizeOf = async (path: string): Promise<number> => {
  const { stdout } = await qemuImg('info', '-f', 'qcow2', '--output=json', path)
  return (JSON.parse(stdout) as { 'virtual-size': number })['virtual-size']
}

const lacksTools = !hasTool('curl') || !hasTool('qemu-img')

describe.skipIf(lacksTools).each(formatsAtRest)('of disks that lie in %s', async (atRest) => {
  const server = await shareServer({
    args: ['--max-chain-depth', '2', '--coalesce-rate', '1000'],
  })
  let made: Promise<Disks> | undefined
  const disksMade = (): Promise<Disks> =>
    (made ??= login(server).then((rpc) => createDisks(server, rpc, atRest)))

  test('a QCOW2 delta, rebased onto its base, reads as the disk', async () => {
    const disks = await disksMade()
    const folder = await createTestFolder()
    for (const [name, baseName] of pairs) {
      const below = (await download(server, disks[baseName], 'qcow2')).bodyFile
      const whole = (await download(server, disks[name], 'raw')).bodyFile
      for (const more of [{}, { delta: 'compact' }]) {
        const delta = join(folder, 'delta.qcow2')
        const query = { base: disks[baseName], ...more }
        await downloadTo(delta, exportUrl(server, disks[name], 'qcow2', query))
        await qemuImg('rebase', '-u', '-b', below, '-F', 'qcow2', delta)
        await expectCleanImage(delta, 'qcow2')
        await expectSameGuest([delta, 'qcow2'], [whole, 'raw'])
        expect(await virtualSizeOf(delta)).toBe(name === 'grown' ? grownSize : size)
      }
    }
  })

  test.skipIf(!hasTool('7zz'))('a VHD delta, beside its base, reads as the disk', async () => {
    const disks = await disksMade()
    for (const [name, baseName] of pairs) {
      const folder = await createTestFolder()
      // 7-Zip looks for the name that stands in the delta.
      const below = join(folder, `${disks[baseName]}.vhd`)
      const delta = join(folder, `${disks[name]}.vhd`)
      await downloadTo(below, exportUrl(server, disks[baseName], 'vhd'))
      await downloadTo(delta, exportUrl(server, disks[name], 'vhd', { base: disks[baseName] }))
      await run('7zz', ['e', '-tvhd', `-o${folder}`, delta])
      const whole = (await download(server, disks[name], 'raw')).bodyFile
      const { stdout } = await run('cmp', [join(folder, `${disks[name]}.img`), whole])
      expect(stdout).toBe('')
    }
  })
})
