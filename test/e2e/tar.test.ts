// Archives of blocks through the server: what XenServer's users meet besides round trips.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { shareServer } from '../support/server.ts'
import { convertSource, createRawSource, expectSameGuest, sourceSize } from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import {
  asRoot,
  download,
  expectStatus,
  exportUrl,
  importUrl,
  upload,
  uploadNew,
} from '../support/transfer.ts'

const lacksTools = !hasTool('curl') || !hasTool('qemu-img') || !hasTool('python3')

describe.skipIf(lacksTools)('tar', async () => {
  const server = await shareServer()

  test('with XXH64 goes out, and comes in again', async () => {
    const raw = await createRawSource(await createTestFolder())
    const uuid = await uploadNew(server, raw, 'raw')
    const url = exportUrl(server, uuid, 'tar', { subformat: 'xxhash' })
    const exported = await curl(...asRoot, url)
    await expectStatus(exported, 200)
    expect((await readFile(exported.bodyFile)).includes('vdi/00000000.xxhash')).toBe(true)
    const copy = await uploadNew(server, exported.bodyFile, 'tar')
    const { bodyFile } = await download(server, copy, 'raw')
    await expectSameGuest([bodyFile, 'raw'], [raw, 'raw'])
  })

  test('replaces what the VDI held, also where blocks are left out', async () => {
    const folder = await createTestFolder()
    const full = { size: sourceSize, parts: [[0, sourceSize]] as const, seed: 3 }
    const uuid = await uploadNew(server, await createRawSource(folder, 'full.raw', full), 'raw')
    const raw = await createRawSource(folder)
    await expectStatus(await upload(server, uuid, await convertSource(raw, 'tar'), 'tar'), 200)
    const { bodyFile } = await download(server, uuid, 'raw')
    await expectSameGuest([bodyFile, 'raw'], [raw, 'raw'])
  })

  test('without its end mark is whole where the VDI ends, or where the sender says so', async () => {
    const folder = await createTestFolder()
    const raw = await createRawSource(folder)
    const vdi = await uploadNew(server, raw, 'raw')
    const marked = (await download(server, vdi, 'tar')).bodyFile
    const unmarked = join(folder, 'unmarked.tar')
    await writeFile(unmarked, (await readFile(marked)).subarray(0, -1024))
    await expectStatus(await upload(server, vdi, unmarked, 'tar'), 200)

    const into = { sr_uuid: 'default', format: 'tar' }
    const refused = await curl(...asRoot, '-T', unmarked, importUrl(server, into))
    await expectStatus(refused, 400)
    expect(await refused.text()).toContain('if that is all of it, say short=true')
    const taken = await curl(
      ...asRoot,
      '-T',
      unmarked,
      importUrl(server, { ...into, short: 'true' }),
    )
    await expectStatus(taken, 200)
    const { bodyFile } = await download(server, taken.headers.get('vdi-uuid') ?? '', 'raw')
    await expectSameGuest([bodyFile, 'raw'], [raw, 'raw'])
  })
})
