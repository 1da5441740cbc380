// CONTRIBUTING.md, "To add a format", followed step by step on a copy of the server: what the steps
// add travels, lies at rest, is scanned and is cleared like the formats that are there.

import { randomUUID } from 'node:crypto'
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { createVdi, login } from '../support/json-rpc.ts'
import { spawnServer, type TestServer } from '../support/spawn-server.ts'
import { createRawSource, sourceSize } from '../support/sources.ts'
import { createTestFolder } from '../support/tools.ts'
import { asRoot, expectStatus, exportUrl, importUrl, upload } from '../support/transfer.ts'

const repository = resolve(import.meta.dirname, '../..')

/** @returns the path of the copy */
const copyServer = async (): Promise<string> => {
  const copy = await createTestFolder()
  for (const name of ['bin', 'src', 'routes', 'package.json']) {
    await cp(join(repository, name), join(copy, name), { recursive: true })
  }
  await symlink(join(repository, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

const edit = async (path: string, from: string | RegExp, to: string): Promise<void> => {
  const text = await readFile(path, 'utf8')
  const edited = text.replace(from, to)
  expect(edited, `${path} has no ${from}`).not.toBe(text)
  await writeFile(path, edited)
}

/** The steps, but the tests of the format. */
const addToy = async (copy: string): Promise<void> => {
  const source = await readFile(join(repository, 'test/support/toy-format.ts'), 'utf8')
  await mkdir(join(copy, 'src/formats/toy'))
  await writeFile(join(copy, 'src/formats/toy/toy.ts'), source.replaceAll('../../src/', '../../'))

  const row = `toy: {
    form: { name: 'a toy image', start: 'TOYIMAGE' },
    endings: ['toy'],
    qemuName: 'toy',
    mediaType: 'application/x-toy',
    subformats: ['plain', 'flowing'],
    streamed: ['flowing'],
    exportsDeltas: false,
    importsDeltas: false,
    mayHoldVdis: true,
    tellsHoles: false,
  },
`
  await edit(join(copy, 'src/format-table.ts'), /^\} as const satisfies/m, `  ${row}$&`)
  const registry = join(copy, 'src/formats/registry.ts')
  await edit(registry, /= \{\s+raw,/, '$& toy,')
  await edit(registry, '[raw, ', '[raw, toy, ')
  await edit(registry, /^import \{ vhd \}/m, `import { toy } from './toy/toy.ts'\n$&`)
}

const toyOf = (guest: Uint8Array): Buffer => {
  const header = Buffer.alloc(512)
  header.write('TOYIMAGE')
  header.writeBigUInt64BE(BigInt(guest.length), 8)
  return Buffer.concat([header, guest])
}

/** The names of the layers of the first storage repository, and what lies in its staging folder. */
const listData = async (data: string) => {
  const [sr] = await readdir(join(data, 'sr'))
  const folder = join(data, 'sr', sr!)
  const staging = join(folder, 'staging')
  const layers = (await readdir(folder)).filter((name) => name !== 'staging')
  return { layers, staging, staged: await readdir(staging) }
}

const bodyOf = async (server: TestServer, vdi: string, format: string): Promise<Buffer> => {
  const answer = await curl(...asRoot, exportUrl(server, vdi, format))
  await expectStatus(answer, 200)
  return readFile(answer.bodyFile)
}

test('a format that is added in three steps is imported, kept, exported, scanned and cleared', async () => {
  const root = await copyServer()
  const dataFolder = await createTestFolder()
  const start = async (from: string): Promise<TestServer> => {
    const server = await spawnServer({ root: from, dataFolder })
    onTestFinished(() => server.kill())
    return server
  }
  // The catalog of a server that did not know the format.
  await (await start(repository)).stop()
  await addToy(root)
  const first = await start(root)
  const rpc = await login(first)

  const folder = await createTestFolder()
  const raw = await createRawSource(folder)
  const guest = await readFile(raw)
  const image = join(folder, 'source.toy')
  await writeFile(image, toyOf(guest))
  const { uuid } = await createVdi(rpc, sourceSize, { sm_config: { 'image-format': 'toy' } })
  await expectStatus(await upload(first, uuid, image, 'toy'), 200)
  const atRest = (await listData(dataFolder)).layers
  expect(atRest).toEqual([expect.stringMatching(/^[0-9a-f-]{36}\.toy$/) as string])

  const answer = await curl(...asRoot, exportUrl(first, uuid, 'toy'))
  expect(answer.headers.get('content-type')).toBe('application/x-toy')
  expect((await readFile(answer.bodyFile)).equals(toyOf(guest))).toBe(true)
  expect((await bodyOf(first, uuid, 'raw')).equals(guest)).toBe(true)

  // Its other subformat has no length.
  const flowing = exportUrl(first, uuid, 'toy', { subformat: 'Flowing' })
  const streamed = await curl(...asRoot, '-r', '0-9', flowing)
  await expectStatus(streamed, 200)
  expect(streamed.headers.get('content-length')).toBeUndefined()
  expect(streamed.headers.get('transfer-encoding')).toBe('chunked')
  expect(streamed.headers.get('accept-ranges')).toBe('none')
  expect(streamed.headers.get('etag')).toMatch(/^W\/"/)
  expect((await readFile(streamed.bodyFile)).equals(toyOf(guest))).toBe(true)

  const coded = await curl(...asRoot, '-H', 'Accept-Encoding: gzip, identity;q=0.1', flowing)
  expect(coded.headers.has('content-encoding')).toBe(false)

  // It cannot lie on another layer; what an import adds is in the default format.
  const other = await createVdi(rpc, 2 * sourceSize, { sm_config: { 'image-format': 'toy' } })
  await expectStatus(await upload(first, other.uuid, image, 'toy'), 200)
  await expectStatus(await upload(first, other.uuid, image, 'toy'), 200)
  const endings = (await listData(dataFolder)).layers.map((name) => name.replace(/.*\./, ''))
  expect(endings.toSorted()).toEqual(['qcow2', 'toy', 'toy'])

  // Without a format it is refused by its name.
  const url = importUrl(first, { sr_uuid: 'default' })
  const refused = await curl(...asRoot, '-T', image, url)
  expect(await refused.text()).toContain('this is a toy image: say format=toy')

  // Files that a crash leaves in staging go at the next start.
  await first.kill()
  const { staging } = await listData(dataFolder)
  const left = randomUUID()
  await writeFile(join(staging, `${left}.toy`), 'half')
  await writeFile(join(staging, `${left}.toy.map.json`), '[')
  const second = await start(root)
  expect((await listData(dataFolder)).staged).toEqual([])
  expect((await bodyOf(second, uuid, 'toy')).equals(toyOf(guest))).toBe(true)

  // A folder of others.
  const foreign = await createTestFolder()
  const found = randomUUID()
  await writeFile(join(foreign, `${found}.toy`), toyOf(guest))
  const again = await login(second)
  const [host] = await again<string[]>('host.get_all')
  const location = { location: foreign }
  await again('SR.create', host, location, '0', 'found', '', 'file', '', false, {})
  expect((await bodyOf(second, found, 'raw')).equals(guest)).toBe(true)
})
