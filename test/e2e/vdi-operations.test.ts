// Snapshots, copies and moves as a person does them with xe: what comes out reads as what went in,
// and what lies in the storage repositories opens with qemu-img.

import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, extname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createCatalog } from '../../src/catalog/catalog.ts'
import { createVdi, login } from '../support/json-rpc.ts'
import { listLayers, listStaging } from '../support/layers.ts'
import { startServer, type TestServer } from '../support/server.ts'
import {
  convertSource,
  createRawSource,
  expectCleanImage,
  expectSameGuest,
} from '../support/sources.ts'
import { createTestFolder, hasTool, qemuImg } from '../support/tools.ts'
import { download, expectStatus, upload, uploadNew } from '../support/transfer.ts'
import { eventually } from '../support/wait.ts'
import { createXe } from '../support/xe-program.ts'
import { createTestSr } from '../support/catalogs.ts'

const size = 25 << 20

/** Writes a pattern over parts of the VDI, as an image that holds nothing else. */
const change = async (server: TestServer, vdi: string, seed: number): Promise<void> => {
  const parts = [
    [(4 << 20) - 512, 1024],
    [20 << 20, 200_192],
  ] as const
  const raw = await createRawSource(await createTestFolder(), 'change.raw', { size, parts, seed })
  const image = await convertSource(raw, 'qcow2')
  await expectStatus(await upload(server, vdi, image, 'qcow2'), 200)
}

/** A VDI of 25 MiB that was written as a whole, in a format at rest. */
const createWritten = async (server: TestServer, format: string): Promise<string> => {
  const rpc = await login(server)
  const { uuid } = await createVdi(rpc, size, { sm_config: { 'image-format': format } })
  const raw = await createRawSource(await createTestFolder(), 'first.raw', { size })
  await expectStatus(await upload(server, uuid, raw, 'raw'), 200)
  return uuid
}

const rawOf = async (server: TestServer, vdi: string): Promise<readonly [string, 'raw']> => [
  (await download(server, vdi, 'raw')).bodyFile,
  'raw',
]

/** A server with a second storage repository; its uuid. */
const startWithTwo = async (): Promise<{ server: TestServer; other: string }> => {
  const dataFolder = await mkdtemp(join(tmpdir(), 'diskport-data-'))
  const first = await startServer({ dataFolder })
  await first.stop()
  const catalog = await createCatalog(join(dataFolder, 'catalog.db'))
  const other = await createTestSr(catalog, { defaultFormat: 'qcow2', nameLabel: 'other' })
  await catalog.close()
  return { server: await startServer({ dataFolder }), other }
}

/**
 * Returns when the first layer is being written there, or lies there: one that is quick may not be
 * seen before.
 */
const untilCopied = (
  dataFolder: string,
  srUuid: string,
  moment: 'staged' | 'sealed',
): Promise<true> =>
  eventually(`a copy that is ${moment}`, async () => {
    const staged = moment === 'staged' ? await listStaging(dataFolder) : []
    const found = [...staged, ...(await listLayers(dataFolder))]
    return found.some((path) => path.startsWith(`sr/${srUuid}/`)) ? true : undefined
  })

/** All layers below the data folder are whole, with all that they name. */
const expectCleanLayers = async (dataFolder: string): Promise<readonly string[]> => {
  const layers = await listLayers(dataFolder)
  for (const layer of layers) {
    const path = join(dataFolder, layer)
    const format = layer.slice(layer.lastIndexOf('.') + 1) as 'raw' | 'vhd' | 'qcow2'
    await expectCleanImage(path, format)
    if (format === 'qcow2') await qemuImg('info', '--backing-chain', path)
  }
  return layers
}

const lacksTools = !hasTool('curl') || !hasTool('qemu-img')

describe.skipIf(lacksTools)('a snapshot', () => {
  test.each([
    ['qcow2', 'vhd'],
    ['vhd', 'qcow2'],
    ['raw', 'vhd'],
  ] as const)(
    'of a %s VDI is a base: its full and a %s delta, restored, are the VDI',
    async (atRest, format) => {
      const server = await startServer()
      const { ask } = createXe(server)
      const folder = await createTestFolder()
      const vdi = await createWritten(server, atRest)
      const snapshot = await ask('vdi-snapshot', `uuid=${vdi}`)
      const before = await rawOf(server, snapshot)
      await change(server, vdi, 3)
      await ask('vdi-resize', `uuid=${vdi}`, `disk-size=${size + (1 << 20)}`)
      await change(server, vdi, 4)

      const [full, delta] = [join(folder, 'full'), join(folder, 'delta')]
      const into = [`format=${format}`]
      await ask('vdi-export', `uuid=${snapshot}`, `filename=${full}`, ...into)
      await ask('vdi-export', `uuid=${vdi}`, `base=${snapshot}`, `filename=${delta}`, ...into)
      const restored = await uploadNew(server, full, format)
      await expectSameGuest(await rawOf(server, restored), before)
      await ask('vdi-resize', `uuid=${restored}`, `disk-size=${size + (1 << 20)}`)
      await ask('vdi-import', `uuid=${restored}`, `filename=${delta}`, ...into)
      await expectSameGuest(await rawOf(server, restored), await rawOf(server, vdi))
      await expectSameGuest(await rawOf(server, snapshot), before)
      await expectCleanLayers(server.dataFolder)
    },
  )

  test('is shown by xe, refuses imports, and outlives its VDI', async () => {
    const server = await startServer()
    const { xe, ask } = createXe(server)
    const vdi = await createWritten(server, 'qcow2')
    const snapshot = await ask('vdi-snapshot', `uuid=${vdi}`)
    const clone = await ask('vdi-clone', `uuid=${snapshot}`)
    const shown = await ask('vdi-param-list', `uuid=${snapshot}`)
    for (const line of [
      /^ +is-a-snapshot \( RO\) *: true$/m,
      new RegExp(`^ +snapshot-of \\( RO\\) *: ${vdi}$`, 'm'),
      /^ +snapshot-time \( RO\) *: 20\d{6}T\d\d:\d\d:\d\dZ$/m,
      /^ +read-only \( RO\) *: false$/m,
      /^ +sm-config \(MR[OW]\) *: image-format: qcow2$/m,
      /^ +allowed-operations \(SRO\) *: snapshot; clone; copy; list_changed_blocks; update; forget; destroy$/m,
    ]) {
      expect(shown).toMatch(line)
    }
    const asked = ['params=snapshots', '--minimal']
    expect(await ask('vdi-list', `uuid=${vdi}`, ...asked)).toBe(snapshot)
    expect(await ask('vdi-list', 'is-a-snapshot=true', '--minimal')).toBe(snapshot)

    const raw = await createRawSource(await createTestFolder(), 'a.raw', { size, seed: 9 })
    await expectStatus(await upload(server, snapshot, raw, 'raw'), 409)
    expect(await xe('vdi-import', `uuid=${snapshot}`, `filename=${raw}`)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^The VDI .* is read-only\nvdi: /) as string,
    })
    await expectStatus(await upload(server, clone, raw, 'raw'), 200)
    await ask('vdi-destroy', `uuid=${vdi}`)
    const first = await createRawSource(await createTestFolder(), 'b.raw', { size })
    await expectSameGuest(await rawOf(server, snapshot), [first, 'raw'])
    const orphan = ['vdi-param-get', `uuid=${snapshot}`, 'param-name=snapshot-of']
    expect(await ask(...orphan)).toBe('<not in database>')
  })
})

describe.skipIf(lacksTools)('between two storage repositories', () => {
  test('vdi-copy makes the same disk there, and writes a difference onto it', async () => {
    const { server, other } = await startWithTwo()
    const { xe, ask } = createXe(server)
    const vdi = await createWritten(server, 'vhd')
    const snapshot = await ask('vdi-snapshot', `uuid=${vdi}`)
    const made = await xe('vdi-copy', `uuid=${snapshot}`, `sr-uuid=${other}`, '--progress')
    expect(made).toMatchObject({ code: 0 })
    expect(made.err).toMatch(/\(100% ETA 00:00:00\) *\nTotal time: /)
    const copy = made.out.trim()
    await change(server, vdi, 5)
    await ask('vdi-copy', `uuid=${vdi}`, `base-vdi-uuid=${snapshot}`, `into-vdi-uuid=${copy}`)
    await expectSameGuest(await rawOf(server, copy), await rawOf(server, vdi))
    const layers = await expectCleanLayers(server.dataFolder)
    // vhd is what the source had asked for.
    expect(layers.map((path) => path.replace(/.*\./, ''))).toEqual(['vhd', 'vhd', 'vhd', 'vhd'])
    expect(await ask('task-list')).toBe('')

    const small = await createVdi(await login(server), 1 << 20)
    const refused = await xe('vdi-copy', `uuid=${vdi}`, `into-vdi-uuid=${small.uuid}`)
    expect(refused).toMatchObject({ code: 1, out: '' })
    expect(refused.err).toMatch(
      /^The VDI .* is smaller than 26214400 bytes\nvdi: .*\nminimum size: /,
    )
    expect(await xe('vdi-copy', `uuid=${vdi}`)).toMatchObject({
      code: 1,
      err: expect.stringContaining('Please specify one but not both of: ') as string,
    })
  })

  test.each([
    ['vhd', 'qcow2'],
    ['raw', 'vhd'],
  ] as const)(
    'vdi-pool-migrate takes a VDI in %s and its snapshots along, into %s',
    async (format, wanted) => {
      const { server, other } = await startWithTwo()
      const { xe, ask } = createXe(server)
      const vdi = await createWritten(server, format)
      const snapshot = await ask('vdi-snapshot', `uuid=${vdi}`)
      await change(server, vdi, 5)
      const before = [await rawOf(server, vdi), await rawOf(server, snapshot)] as const
      const target = [`uuid=${vdi}`, `sr-uuid=${other}`]
      const refused = await xe('vdi-pool-migrate', ...target, 'dest-img-format=vmdk')
      expect(refused).toMatchObject({ code: 1, out: '' })
      expect(refused.err).toContain(`Image format vmdk is not supported by ${other}\n`)

      const moved = await xe(
        'vdi-pool-migrate',
        ...target,
        `dest-img-format=${wanted}`,
        '--progress',
      )
      expect(moved).toMatchObject({ code: 0, out: `${vdi}\n` })
      expect(moved.err).toMatch(/\(100% ETA 00:00:00\) *\nTotal time: /)
      await expectSameGuest(await rawOf(server, vdi), before[0])
      await expectSameGuest(await rawOf(server, snapshot), before[1])
      for (const uuid of [vdi, snapshot]) {
        const record = await ask('vdi-list', `uuid=${uuid}`, 'params=sr-uuid,sm-config')
        expect(record).toContain(other)
        expect(record).toContain(`image-format: ${wanted}`)
      }
      const layers = await expectCleanLayers(server.dataFolder)
      expect(layers.map((path) => dirname(path))).toEqual([`sr/${other}`, `sr/${other}`])
      expect(layers.map((path) => extname(path))).toEqual([`.${wanted}`, `.${wanted}`])

      const delta = join(await createTestFolder(), 'delta.vhd')
      const exporting = [`uuid=${vdi}`, `base=${snapshot}`, `filename=${delta}`, 'format=vhd']
      await ask('vdi-export', ...exporting)
      // Two blocks of 2 MiB at most for each of the two changes, and what a VHD has beside.
      const { stdout } = await qemuImg('info', '--output=json', '-f', 'vpc', delta)
      const info = JSON.parse(stdout) as { 'actual-size': number }
      expect(info['actual-size']).toBeLessThan(9 << 20)
      const restored = await uploadNew(
        server,
        (await download(server, snapshot, 'vhd')).bodyFile,
        'vhd',
      )
      await expectStatus(await upload(server, restored, delta, 'vhd'), 200)
      await expectSameGuest(await rawOf(server, restored), before[0])
    },
  )

  test('kill -9 in the middle of it: all here or all there, and nothing beside', async () => {
    const { server: first, other } = await startWithTwo()
    const { dataFolder } = first
    const vdi = await createWritten(first, 'qcow2')
    const rpc = await login(first)
    const snapshot = (await rpc<string>('VDI.snapshot', `OpaqueRef:${vdi}`, {})).slice(10)
    await change(first, vdi, 6)
    const before = [await rawOf(first, vdi), await rawOf(first, snapshot)] as const
    let server = first
    for (const moment of ['staged', 'sealed'] as const) {
      const call = await login(server)
      await call('Async.VDI.pool_migrate', `OpaqueRef:${vdi}`, `OpaqueRef:${other}`, {
        'dest-img-format': 'vhd',
      })
      await untilCopied(dataFolder, other, moment)
      await server.kill()
      server = await startServer({ dataFolder })
      const again = await login(server)
      const places = await Promise.all(
        [vdi, snapshot].map((uuid) => again<string>('VDI.get_SR', `OpaqueRef:${uuid}`)),
      )
      expect(new Set(places).size).toBe(1)
      expect(await listStaging(dataFolder)).toEqual([])
      const layers = await expectCleanLayers(dataFolder)
      const place = `sr/${places[0]!.slice('OpaqueRef:'.length)}`
      expect(layers.map((path) => dirname(path))).toEqual([place, place])
      await expectSameGuest(await rawOf(server, vdi), before[0])
      await expectSameGuest(await rawOf(server, snapshot), before[1])
      if (places[0] === `OpaqueRef:${other}`) break
    }
  })

  test('kill -9 in the middle of a copy leaves nothing', async () => {
    const { server: first, other } = await startWithTwo()
    const { dataFolder } = first
    const vdi = await createWritten(first, 'qcow2')
    const rpc = await login(first)
    const layers = await listLayers(dataFolder)
    await rpc('Async.VDI.copy', `OpaqueRef:${vdi}`, `OpaqueRef:${other}`)
    await untilCopied(dataFolder, other, 'staged')
    await first.kill()
    const server = await startServer({ dataFolder })
    const vdis = await (await login(server))<string[]>('VDI.get_all')
    expect(await listStaging(dataFolder)).toEqual([])
    expect(await listLayers(dataFolder)).toHaveLength(layers.length + vdis.length - 1)
    for (const ref of vdis) {
      await expectSameGuest(await rawOf(server, ref), await rawOf(server, vdi))
    }
  })
})
