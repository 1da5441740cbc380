// Parts of exports: ranges, resumed downloads, and exports that go on while the VDI changes.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatNames } from '../../src/format-table.ts'
import { curl } from '../support/curl.ts'
import { expectSameBytes } from '../support/disks.ts'
import { shareServer } from '../support/server.ts'
import { openDownload } from '../support/slow-client.ts'
import { convertSource, createRawSource, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import {
  asRoot,
  expectStatus,
  download,
  exportUrl,
  upload,
  uploadNew,
} from '../support/transfer.ts'

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('ranges', async () => {
  const server = await shareServer()

  const uploadSource = async (): Promise<string> =>
    uploadNew(server, await createRawSource(await createTestFolder()), 'raw')

  test.each(formatNames)(
    '%s: any one range is that part of the whole, with 206',
    async (format) => {
      const uuid = await uploadSource()
      const url = exportUrl(server, uuid, format)
      const { bodyFile, headers } = await download(server, uuid, format)
      const whole = await readFile(bodyFile)
      const end = whole.length
      const ranges = [
        ['0-0', 0, 1],
        ['0-99', 0, 100],
        ['511-66000', 511, 66_001],
        [`${end - 1000}-`, end - 1000, end],
        ['-513', end - 513, end],
        [`-${end + 1000}`, 0, end],
        [`100-${end * 2}`, 100, end],
      ] as const
      for (const [range, from, to] of ranges) {
        const part = await curl(...asRoot, '-H', `Range: bytes=${range}`, url)
        await expectStatus(part, 206)
        expect(part.headers.get('content-range')).toBe(`bytes ${from}-${to - 1}/${end}`)
        expect(part.headers.get('content-length')).toBe(String(to - from))
        expect(part.headers.get('etag')).toBe(headers.get('etag'))
        expectSameBytes(await readFile(part.bodyFile), whole.subarray(from, to), range)
      }
    },
  )

  test('a range that cannot be is 416 and tells the size', async () => {
    const url = exportUrl(server, await uploadSource(), 'qcow2')
    const size = (await curl(...asRoot, '--head', url)).headers.get('content-length')!
    for (const range of [`${size}-`, `${size}-${Number(size) + 5}`, '-0']) {
      const answer = await curl(...asRoot, '-H', `Range: bytes=${range}`, url)
      await expectStatus(answer, 416)
      expect(answer.headers.get('content-range')).toBe(`bytes */${size}`)
    }
  })

  test('a range that is none, or several at once, is answered with the whole', async () => {
    const url = exportUrl(server, await uploadSource(), 'vhd')
    const size = (await curl(...asRoot, '--head', url)).headers.get('content-length')
    for (const range of ['bytes=5-2', 'bytes=x', 'lines=1-2', 'bytes=0-1,5-6']) {
      const answer = await curl(...asRoot, '-H', `Range: ${range}`, url)
      await expectStatus(answer, 200)
      expect(answer.headers.get('content-length')).toBe(size)
    }
  })

  test('HEAD answers a range as GET would, without a body', async () => {
    const url = exportUrl(server, await uploadSource(), 'vhd')
    const answer = await curl(...asRoot, '--head', url)
    await expectStatus(answer, 200)
    expect(answer.headers.get('accept-ranges')).toBe('bytes')
    expect(answer.downloaded).toBe(0)
  })

  test('If-Range: the same ETag gives the part, another one the whole', async () => {
    const url = exportUrl(server, await uploadSource(), 'qcow2')
    const { headers } = await curl(...asRoot, '--head', url)
    const ask = (validator: string) =>
      curl(...asRoot, '-H', 'Range: bytes=10-19', '-H', `If-Range: ${validator}`, url)
    const same = await ask(headers.get('etag')!)
    await expectStatus(same, 206)
    expect(same.downloaded).toBe(10)
    for (const validator of ['"another"', `W/${headers.get('etag')}`]) {
      const other = await ask(validator)
      await expectStatus(other, 200)
      expect(String(other.downloaded)).toBe(headers.get('content-length'))
    }
  })

  test('the ETag differs between formats and changes with the content', async () => {
    const uuid = await uploadSource()
    const tags = async (): Promise<(string | undefined)[]> => {
      const found: (string | undefined)[] = []
      for (const format of formatNames) {
        const { headers } = await curl(...asRoot, '--head', exportUrl(server, uuid, format))
        found.push(headers.get('etag'))
      }
      return found
    }
    const before = await tags()
    const patch = await createRawSource(await createTestFolder(), 'patch.raw', { seed: 4 })
    expect((await upload(server, uuid, await convertSource(patch, 'qcow2'), 'qcow2')).status).toBe(
      200,
    )
    expect(new Set([...before, ...(await tags())]).size).toBe(2 * formatNames.length)
  })

  test.each(formatNames)(
    '%s: curl -C - ends an interrupted download with the same bytes',
    async (format) => {
      const folder = await createTestFolder()
      const uuid = await uploadSource()
      const url = exportUrl(server, uuid, format)
      const whole = await readFile((await download(server, uuid, format)).bodyFile)
      const cutDownload = await openDownload(url)
      const part = await cutDownload.read(1_234_567)
      cutDownload.cut()
      const target = join(folder, 'part')
      for (const length of [part.length, 700, 512, 1]) {
        await writeFile(target, part.subarray(0, length))
        const resumed = await curl(...asRoot, '-f', '-C', '-', '-o', target, url)
        expect(resumed.exitCode).toBe(0)
        await expectStatus(resumed, 206)
        expectSameBytes(await readFile(target), whole, `resumed after ${length} bytes`)
      }
    },
  )

  test('an export goes on with the content that it began with while an import commits', async () => {
    const folder = await createTestFolder()
    const size = 64 << 20
    const source = await createRawSource(folder, 'source.raw', { size, parts: [[0, size]] })
    const uuid = await uploadNew(server, source, 'raw')
    const slow = await openDownload(exportUrl(server, uuid, 'raw'))
    const first = await slow.read(100_000)
    const next = await createRawSource(folder, 'next.raw', { size, parts: [[0, size]], seed: 9 })
    await expectStatus(await upload(server, uuid, next, 'raw'), 200)
    expectSameBytes(Buffer.concat([first, await slow.rest()]), await readFile(source))
    const { bodyFile } = await download(server, uuid, 'raw')
    await expectSameGuest([bodyFile, 'raw'], [next, 'raw'])
  })
})
