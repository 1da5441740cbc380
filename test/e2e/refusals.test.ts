// What the server does not do, and how it says so: before the body where it can, with a status, a
// code and a sentence, and with everything left as it was.

import { randomBytes } from 'node:crypto'
import { copyFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatNames } from '../../src/format-table.ts'
import { curl } from '../support/curl.ts'
import { createVdi, login } from '../support/json-rpc.ts'
import { listStaging } from '../support/layers.ts'
import { rootPassword, shareServer } from '../support/server.ts'
import { openUpload } from '../support/slow-client.ts'
import { convertSource, createRawSource, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import {
  asRoot,
  expectStatus,
  download,
  exportUrl,
  importUrl,
  upload,
  uploadNew,
} from '../support/transfer.ts'

const unknownUuid = '00000000-0000-4000-8000-000000000000'

/** curl waits for 100 Continue as long as it takes, so that bytes sent were asked for. */
const patient = ['-H', 'Expect: 100-continue', '--expect100-timeout', '60']

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('refusals', async () => {
  const server = await shareServer()

  const uploadSource = async (): Promise<{ uuid: string; source: string }> => {
    const source = await createRawSource(await createTestFolder())
    return { uuid: await uploadNew(server, source, 'raw'), source }
  }
  const countVdis = async (): Promise<number> =>
    Object.keys(await (await login(server))<object>('VDI.get_all_records')).length

  describe('exports', () => {
    test.each(['GET', 'HEAD'])(
      '%s without credentials is 401 and says how to give them',
      async (method) => {
        const { uuid } = await uploadSource()
        const url = exportUrl(server, uuid, 'vhd')
        const args = method === 'HEAD' ? ['--head', url] : [url]
        for (const user of [[], ['-u', 'root:wrong'], ['-u', `nobody:${rootPassword}`]]) {
          const answer = await curl(...user, ...args)
          await expectStatus(answer, 401)
          expect(answer.headers.get('www-authenticate')).toMatch(/^Basic /)
        }
      },
    )

    test('a session reference in the query or in a cookie does what Basic does', async () => {
      const { uuid } = await uploadSource()
      const { session } = await login(server)
      const inQuery = await curl('--head', exportUrl(server, uuid, 'vhd', { session_id: session }))
      await expectStatus(inQuery, 200)
      const inCookie = await curl(
        '--head',
        '-H',
        `Cookie: session_id=${session}`,
        exportUrl(server, uuid, 'vhd'),
      )
      await expectStatus(inCookie, 200)
      const stale = await curl(exportUrl(server, uuid, 'vhd', { session_id: 'OpaqueRef:gone' }))
      await expectStatus(stale, 401)
    })

    test('an unknown VDI is 404, and the body says which', async () => {
      const noVdi = await curl(...asRoot, exportUrl(server, unknownUuid, 'vhd'))
      await expectStatus(noVdi, 404)
      expect(await noVdi.text()).toMatch(
        new RegExp(`^(UUID|HANDLE)_INVALID \\[.*${unknownUuid}\\]: .*\\S`),
      )
    })

    test.each(['qed', 'parallels', 'x'.repeat(2000)])(
      'an unknown format is 400 and the formats are listed, on export and import: %.8s',
      async (format) => {
        const { uuid, source } = await uploadSource()
        const expected = /^VALUE_NOT_SUPPORTED \[format, .*\]: .*must be one of raw, vhd, qcow2/
        for (const answer of [
          await curl(...asRoot, exportUrl(server, uuid, format)),
          await upload(server, uuid, source, format, ...patient),
          await curl(...asRoot, '-T', source, importUrl(server, { sr_uuid: 'default', format })),
        ]) {
          await expectStatus(answer, 400)
          expect(await answer.text()).toMatch(expected)
        }
      },
    )

    test('an error is JSON when that is asked for', async () => {
      const url = exportUrl(server, unknownUuid, 'vhd')
      const answer = await curl(...asRoot, '-H', 'Accept: application/json', url)
      await expectStatus(answer, 404)
      expect(answer.headers.get('content-type')).toBe('application/json')
      const error = JSON.parse(await answer.text()) as {
        code: string
        params: string[]
        message: string
      }
      expect(error.code).toMatch(/^(UUID|HANDLE)_INVALID$/)
      expect(error.params[1]).toContain(unknownUuid)
      expect(error.message).toMatch(/\S/)
    })

    test('raw with base is 400 and names vhd and qcow2', async () => {
      const { uuid } = await uploadSource()
      const other = await uploadSource()
      const answer = await curl(...asRoot, exportUrl(server, uuid, 'raw', { base: other.uuid }))
      await expectStatus(answer, 400)
      expect(await answer.text()).toMatch(/vhd.*qcow2/)
    })

    test('a request without a VDI is 400', async () => {
      const answer = await curl(...asRoot, `${server.url}/export_raw_vdi?format=vhd`)
      await expectStatus(answer, 400)
      expect(await answer.text()).toMatch(/vdi/)
    })
  })

  test('a call whose client waits for 100 Continue is asked for its body', async () => {
    const login =
      '{"jsonrpc":"2.0","id":1,"method":"session.login_with_password","params":["root","x"]}'
    const json = ['-H', 'content-type: application/json', '-d', login]
    const answer = await curl(...patient, ...json, `${server.url}/jsonrpc`)
    await expectStatus(answer, 200)
    expect(await answer.text()).toContain('SESSION_AUTHENTICATION_FAILED')
  })

  describe('imports, before a byte of the body', () => {
    test('no credentials, no such VDI, SR or format', async () => {
      const { uuid, source } = await uploadSource()
      const cases = [
        [401, [], importUrl(server, { vdi: uuid, format: 'raw' })],
        [404, asRoot, importUrl(server, { vdi: unknownUuid, format: 'raw' })],
        [404, asRoot, importUrl(server, { sr_uuid: unknownUuid, format: 'raw' })],
        [404, asRoot, importUrl(server, { sr_id: 'OpaqueRef:gone', format: 'raw' })],
        [400, asRoot, importUrl(server, { vdi: uuid, format: 'vmdk9' })],
        [400, asRoot, importUrl(server, { format: 'raw' })],
      ] as const
      for (const [status, user, url] of cases) {
        const answer = await curl(...user, ...patient, '-T', source, url)
        await expectStatus(answer, status)
        expect(answer.uploaded).toBe(0)
        expect(await answer.text()).toMatch(/^[A-Z_]+( \[.*\])?: .*\S/)
      }
    })

    test('an image larger than the VDI of which nobody said what it is', async () => {
      const { uuid } = await createVdi(await login(server), 8 << 20)
      const source = await createRawSource(await createTestFolder())
      const answer = await curl(
        ...asRoot,
        ...patient,
        '-T',
        source,
        importUrl(server, { vdi: uuid }),
      )
      await expectStatus(answer, 413)
      expect(await answer.text()).toMatch(/, if it is raw; else say format=\n$/)
    })

    test('a raw image larger than the VDI', async () => {
      const { uuid } = await createVdi(await login(server), 8 << 20)
      const source = await createRawSource(await createTestFolder())
      const answer = await upload(server, uuid, source, 'raw', ...patient)
      await expectStatus(answer, 413)
      expect(answer.uploaded).toBe(0)
      const text = await answer.text()
      expect(text).toContain(String(8 << 20))
      expect(text).toContain(String((await stat(source)).size))
    })

    test('a second import into one VDI while the first is under way', async () => {
      const { uuid, source } = await uploadSource()
      const url = importUrl(server, { vdi: uuid, format: 'raw' })
      const first = await openUpload(url, 1 << 20)
      const second = await curl(...asRoot, ...patient, '-T', source, url)
      await expectStatus(second, 409)
      expect(second.uploaded).toBe(0)
      expect(await second.text()).toMatch(/^OTHER_OPERATION_IN_PROGRESS \[VDI, /)
      await first.write(Buffer.alloc(1 << 20, 7))
      expect((await first.end()).status).toBe(200)
      const third = await curl(...asRoot, ...patient, '-T', source, url)
      await expectStatus(third, 200)
    })
  })

  describe('imports, on what the body says', () => {
    test.each(['vhd', 'qcow2'] as const)(
      'a %s image larger than the VDI, with both sizes',
      async (format) => {
        const { uuid } = await createVdi(await login(server), 8 << 20)
        const folder = await createTestFolder()
        const size = 96 << 20
        const full = await createRawSource(folder, 'full.raw', { size, parts: [[0, size]] })
        const options = format === 'vhd' ? ['-o', 'force_size=on'] : []
        const answer = await upload(
          server,
          uuid,
          await convertSource(full, format, ...options),
          format,
        )
        await expectStatus(answer, 413)
        expect(await answer.text()).toContain(String(8 << 20))
        expect(await answer.text()).toContain(String(size))
        const zeros = await createRawSource(folder, 'zeros.raw', { size: 8 << 20, parts: [] })
        const { bodyFile } = await download(server, uuid, 'raw')
        await expectSameGuest([bodyFile, 'raw'], [zeros, 'raw'])
      },
    )

    test.each(['vhd', 'qcow2'] as const)('garbage that is called %s', async (format) => {
      const garbage = join(await createTestFolder(), 'garbage')
      await writeFile(garbage, randomBytes(3 << 20))
      const { uuid, source } = await uploadSource()
      const vdis = await countVdis()
      for (const target of [{ vdi: uuid }, { sr_uuid: 'default' }]) {
        const answer = await curl(
          ...asRoot,
          '-T',
          garbage,
          importUrl(server, { ...target, format }),
        )
        await expectStatus(answer, 400)
        expect(await answer.text()).toMatch(
          new RegExp(`^IMPORT_ERROR_GENERIC: Cannot decode ${format}: .*\\S`),
        )
      }
      expect(await countVdis()).toBe(vdis)
      const { bodyFile } = await download(server, uuid, 'raw')
      await expectSameGuest([bodyFile, 'raw'], [source, 'raw'])
    })

    test('one format that is called another', async () => {
      const raw = await createRawSource(await createTestFolder())
      const images = {
        raw,
        vhd: await convertSource(raw, 'vhd'),
        qcow2: await convertSource(raw, 'qcow2'),
      }
      for (const [actual, path] of Object.entries(images)) {
        for (const format of ['vhd', 'qcow2'] as const) {
          if (actual === format) continue
          const url = importUrl(server, { sr_uuid: 'default', format })
          const answer = await curl(...asRoot, '-T', path, url)
          await expectStatus(answer, 400)
        }
      }
    })

    test.each(['vhd', 'qcow2'] as const)(
      'a %s image cut short, whatever the length says',
      async (format) => {
        const source = await convertSource(await createRawSource(await createTestFolder()), format)
        const { uuid, source: old } = await uploadSource()
        const { size } = await stat(source)
        for (const length of [100, 600, 3000, 70_000, Math.floor(size / 2), size - 65_536 - 300]) {
          const cut = `${source}.cut`
          await copyFile(source, cut)
          await truncate(cut, length)
          const answer = await upload(server, uuid, cut, format)
          await expectStatus(answer, 400)
        }
        const { bodyFile } = await download(server, uuid, 'raw')
        await expectSameGuest([bodyFile, 'raw'], [old, 'raw'])
      },
    )

    test('raw of a length that is no whole VDI leaves the rest as it was', async () => {
      const { uuid, source } = await uploadSource()
      const short = await createRawSource(await createTestFolder(), 'short.raw', {
        size: 4096,
        parts: [[0, 4096]],
      })
      await expectStatus(await upload(server, uuid, short, 'raw'), 200)
      const { bodyFile } = await download(server, uuid, 'raw')
      await expectSameGuest([bodyFile, 'raw'], [source, 'raw'])
    })
  })

  test('nothing is left in staging by all of this', async () => {
    expect(await listStaging(server.dataFolder)).toEqual([])
  })

  test('an unknown path is 404, an unknown method of a known one is refused', async () => {
    await expectStatus(await curl(...asRoot, `${server.url}/nothing`), 404)
    for (const format of formatNames) {
      const answer = await curl(...asRoot, '-X', 'DELETE', exportUrl(server, unknownUuid, format))
      expect([404, 405]).toContain(answer.status)
    }
  })
})
