// Memory does not grow with the disk: 2 TiB in and out, most of it holes.

import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { isZero } from '../../src/disk/zero.ts'
import { GiB, KiB, MiB, TiB } from '../../src/units.ts'
import { listStaging } from '../support/layers.ts'
import { moveTablesToEnd } from '../support/qcow2-surgery.ts'
import { startServer } from '../support/server.ts'
import { openDownload, openUpload } from '../support/slow-client.ts'
import {
  createRawSource,
  convertSource,
  expectCleanImage,
  expectSameGuest,
} from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import { eventually } from '../support/wait.ts'
import {
  asRoot,
  download,
  expectStatus,
  exportUrl,
  importUrl,
  uploadNew,
} from '../support/transfer.ts'

const limit = 200 * MiB

/** Of a server with hundreds of slow clients. */
const limitOfMany = 300_000_000

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('memory', () => {
  test(
    'a sparse disk of 2 TiB comes in and goes out below 200 MB',
    { timeout: 120_000 },
    async () => {
      const server = await startServer()
      const folder = await createTestFolder()
      const size = 2 * TiB
      const parts = Array.from(
        { length: 64 },
        (_, index) => [(index * size) / 64, 128 * 1024] as const,
      )
      const raw = await createRawSource(folder, 'huge.raw', {
        size,
        parts: [...parts, [size - 512, 512]],
      })
      const source = await convertSource(raw, 'qcow2')
      const uuid = await uploadNew(server, source, 'qcow2')

      const head = await curl(...asRoot, '--head', exportUrl(server, uuid, 'raw'))
      expect(head.headers.get('content-length')).toBe(String(size))
      const start = await curl(...asRoot, '-r', '0-1048575', exportUrl(server, uuid, 'raw'))
      expect(isZero((await readFile(start.bodyFile)).subarray(128 * 1024))).toBe(true)
      const end = await curl(...asRoot, '-r', '-1048576', exportUrl(server, uuid, 'raw'))
      expect(isZero((await readFile(end.bodyFile)).subarray(0, MiB - 512))).toBe(true)

      const { bodyFile, downloaded } = await download(server, uuid, 'qcow2')
      expect(downloaded).toBeLessThan((await stat(source)).size * 2)
      await expectSameGuest([bodyFile, 'qcow2'], [source, 'qcow2'])
      await expectCleanImage(bodyFile, 'qcow2')
      await expectStatus(await curl(...asRoot, exportUrl(server, uuid, 'vhd')), 400)
      expect(await server.peakMemory()).toBeLessThan(limit)
    },
  )

  test('a full disk goes through in bounded memory', { timeout: 120_000 }, async () => {
    const server = await startServer()
    const size = 768 * MiB
    const parts = [[0, size]] as const
    const source = await createRawSource(await createTestFolder(), 'full.raw', { size, parts })
    const uuid = await uploadNew(server, source, 'raw')
    for (const format of ['vhd', 'qcow2'] as const) {
      await expectStatus(
        await curl(...asRoot, '-o', '/dev/null', exportUrl(server, uuid, format)),
        200,
      )
    }
    expect(await server.peakMemory()).toBeLessThan(limit)
  })

  test(
    'a QCOW2 whose L2 tables come last waits on disk, not in memory',
    { timeout: 120_000 },
    async () => {
      const server = await startServer()
      const folder = await createTestFolder()
      const size = 512 * MiB
      const raw = await createRawSource(folder, 'full.raw', { size, parts: [[0, size]] })
      const source = await convertSource(raw, 'qcow2')
      await moveTablesToEnd(source)
      const uuid = await uploadNew(server, source, 'qcow2')
      expect(await server.peakMemory()).toBeLessThan(limit)
      const { bodyFile } = await download(server, uuid, 'raw')
      await expectSameGuest([bodyFile, 'raw'], [join(folder, 'full.raw'), 'raw'])
    },
  )
})

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('100 GiB with its tables last', () => {
  const size = 100 * GiB
  // 200 L2 tables, each with two runs of clusters.
  const parts = Array.from(
    { length: 400 },
    (_, index) => [(index * size) / 400 + 5 * MiB, MiB] as const,
  )

  const createSource = async (folder: string): Promise<string> => {
    const raw = await createRawSource(folder, 'huge.raw', { size, parts })
    const source = await convertSource(raw, 'qcow2')
    await moveTablesToEnd(source)
    return source
  }

  test('wait on the storage, from a pipe, in flat memory', { timeout: 120_000 }, async () => {
    const server = await startServer()
    const source = await createSource(await createTestFolder())
    const url = importUrl(server, { sr_uuid: 'default', format: 'auto' })
    const fromPipe = ['-H', 'Transfer-Encoding: chunked', '-T', source]
    const answer = await curl(...asRoot, ...fromPipe, url)
    await expectStatus(answer, 200)
    expect(await server.peakMemory()).toBeLessThan(limit)
    const { bodyFile } = await download(server, answer.headers.get('vdi-uuid')!, 'qcow2')
    await expectSameGuest([bodyFile, 'qcow2'], [source, 'qcow2'])
  })

  test('wait up to --spool-limit; more is refused and leaves nothing', async () => {
    const server = await startServer({ args: ['--spool-limit', '100MiB'] })
    const source = await createSource(await createTestFolder())
    const url = importUrl(server, { sr_uuid: 'default', format: 'auto' })
    const answer = await curl(...asRoot, '-T', source, url)
    expect(answer.status).toBe(507)
    expect(await answer.text()).toMatch(
      /^SR_FULL.*more than \d+ bytes of the upload wait for its end, --spool-limit is/,
    )
    await eventually('nothing to wait', async () =>
      (await listStaging(server.dataFolder)).length === 0 ? true : undefined,
    )
  })
})

describe.skipIf(!hasTool('curl'))('memory of slow clients', () => {
  const count = 200
  const size = 64 * MiB

  test(
    '200 downloads whose clients take little at a time stay below 300 MB',
    { timeout: 240_000 },
    async () => {
      const server = await startServer()
      const source = await createRawSource(await createTestFolder(), 'full.raw', {
        size,
        parts: [[0, size]],
      })
      const uuid = await uploadNew(server, source, 'raw')
      const downloads = await Promise.all(
        Array.from({ length: count }, () => openDownload(exportUrl(server, uuid, 'raw'))),
      )
      onTestFinished(() => {
        for (const slow of downloads) slow.cut()
      })
      for (let round = 0; round < 10; round += 1) {
        await Promise.all(downloads.map((slow) => slow.read(50 * KiB)))
      }
      expect(await server.peakMemory()).toBeLessThan(limitOfMany)
    },
  )

  test(
    '200 uploads whose clients send little at a time stay below 300 MB',
    { timeout: 240_000 },
    async () => {
      const server = await startServer()
      const url = importUrl(server, { sr_uuid: 'default', format: 'raw' })
      const uploads = await Promise.all(Array.from({ length: count }, () => openUpload(url, size)))
      onTestFinished(() => {
        for (const slow of uploads) slow.cut()
      })
      for (let round = 1; round <= 10; round += 1) {
        await Promise.all(uploads.map((slow) => slow.write(Buffer.alloc(50 * KiB, round))))
      }
      expect(await server.peakMemory()).toBeLessThan(limitOfMany)
    },
  )
})
