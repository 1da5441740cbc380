// Changed blocks as a person asks for them with xe: what they are, that they outlive the data of a
// snapshot, and that a delta of a huge disk is as small as they are.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { shareServer } from '../support/server.ts'
import { convertSource, createRawSource, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool, qemuImg } from '../support/tools.ts'
import {
  asRoot,
  download,
  expectStatus,
  exportUrl,
  upload,
  uploadNew,
} from '../support/transfer.ts'
import { createXe } from '../support/xe-program.ts'

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB

type Parts = readonly (readonly [offset: number, length: number])[]

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('xe', async () => {
  const server = await shareServer()
  const { xe, ask } = createXe(server)

  const createVdi = async (size: number): Promise<string> => {
    const sr = await ask('sr-list', '--minimal')
    return ask('vdi-create', `sr-uuid=${sr}`, 'name-label=a', `virtual-size=${size}`)
  }

  /** Writes the parts and nothing else; the image that did. */
  const change = async (vdi: string, size: number, parts: Parts): Promise<string> => {
    const raw = await createRawSource(await createTestFolder(), 'a.raw', {
      size,
      parts: [...parts],
    })
    const image = await convertSource(raw, 'qcow2')
    await expectStatus(await upload(server, vdi, image, 'qcow2'), 200)
    return image
  }

  const refused = (err: RegExp) => ({
    code: 1,
    out: '',
    err: expect.stringMatching(err) as string,
  })

  test('tracks changes, and tells them after the data of the snapshot is gone', async () => {
    const size = 4 * MiB
    const vdi = await createVdi(size)
    await change(vdi, size, [[0, 2 * MiB]])
    const tracked = (uuid: string): Promise<string> =>
      ask('vdi-param-get', `uuid=${uuid}`, 'param-name=cbt-enabled')
    const untracked = await ask('vdi-snapshot', `uuid=${vdi}`)
    expect(await ask('vdi-enable-cbt', `uuid=${vdi}`)).toBe('')
    expect(await tracked(vdi)).toBe('true')
    const snapshot = await ask('vdi-snapshot', `uuid=${vdi}`)
    expect(await tracked(snapshot)).toBe('true')
    await change(vdi, size, [
      [64 * KiB, 128 * KiB],
      [size - 64 * KiB, 64 * KiB],
    ])
    // 64 blocks: the second and third, and the last.
    const bitmap = Buffer.from([0b0110_0000, 0, 0, 0, 0, 0, 0, 1]).toString('base64')
    const list = (from: string, to: string) =>
      xe('vdi-list-changed-blocks', `vdi-from-uuid=${from}`, `vdi-to-uuid=${to}`)
    expect(await list(snapshot, vdi)).toEqual({ code: 0, out: `${bitmap}\n`, err: '' })

    expect(await xe('vdi-data-destroy', `uuid=${untracked}`)).toMatchObject(
      refused(/^The changed blocks of the snapshot .* are not kept: .*\nvdi: /),
    )
    expect(await xe('vdi-data-destroy', `uuid=${vdi}`)).toMatchObject(refused(/./))
    expect(await ask('vdi-data-destroy', `uuid=${snapshot}`)).toBe('')
    expect(await ask('vdi-list', `uuid=${snapshot}`, 'params=type')).toMatch(/: cbt_metadata$/)
    expect(await list(snapshot, vdi)).toEqual({ code: 0, out: `${bitmap}\n`, err: '' })
    const target = join(await createTestFolder(), 'out')
    expect(await xe('vdi-export', `uuid=${snapshot}`, `filename=${target}`)).toMatchObject(
      refused(/./),
    )
    await expect(stat(target)).rejects.toThrow('ENOENT')

    expect(await ask('vdi-disable-cbt', `uuid=${vdi}`)).toBe('')
    expect(await tracked(vdi)).toBe('false')
    expect(await xe('vdi-enable-cbt', `uuid=${snapshot}`)).toMatchObject(refused(/snapshot/))
  })

  test('a delta of 1 TiB with 10 MiB changed is 10 MiB, and restores it', async () => {
    const size = 1024 * GiB
    const vdi = await createVdi(size)
    await change(vdi, size, [[7 * MiB, 64 * KiB]])
    const snapshot = await ask('vdi-snapshot', `uuid=${vdi}`)
    // Each in a block of VHD and a table of QCOW2 of its own.
    const parts = Array.from({ length: 10 }, (_, index) => [index * 100 * GiB, MiB] as const)
    await change(vdi, size, parts)
    const whole = (await download(server, vdi, 'qcow2')).bodyFile

    // Head, table and bitmap of 2^19 blocks, three names of the base; each block with its bitmap;
    // the footer.
    const vhd = 2048 + 4 * 2 ** 19 + 512 + 2 ** 16 + 1024 + 10 * (2 * MiB + 512) + 512
    // Clusters: the header, counts and their table, the table of tables; ten tables; the data. A
    // compatible one goes by 2 MiB too.
    const [compact, compatible] = [160, 320].map((data) => (1 + 2 + 1 + 10 + data) * 64 * KiB)
    const forms = [
      ['vhd', {}, vhd],
      ['qcow2', { delta: 'compact' }, compact],
      ['qcow2', {}, compatible],
    ] as const
    for (const [format, more, length] of forms) {
      const url = exportUrl(server, vdi, format, { base: snapshot, ...more })
      const { headers } = await curl(...asRoot, '--head', url)
      expect([format, headers.get('content-length')]).toEqual([format, String(length)])
    }
    const folder = await createTestFolder()
    for (const format of ['vhd', 'qcow2'] as const) {
      const delta = join(folder, `delta.${format}`)
      const [path, into] = [`filename=${delta}`, `format=${format}`]
      await ask('vdi-export', `uuid=${vdi}`, `base=${snapshot}`, path, into)
      expect((await stat(delta)).size).toBe(format === 'vhd' ? vhd : compatible)
      const full = (await download(server, snapshot, format)).bodyFile
      const restored = await uploadNew(server, full, format)
      await ask('vdi-import', `uuid=${restored}`, path, into)
      const { bodyFile } = await download(server, restored, 'qcow2')
      await expectSameGuest([bodyFile, 'qcow2'], [whole, 'qcow2'])
      await qemuImg('check', '-f', 'qcow2', bodyFile)
    }
  })
})
