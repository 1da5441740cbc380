// format=auto, and images in a wrapping: what the first bytes show is what is taken, whole or not
// at all.

import { createHash } from 'node:crypto'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { formats } from '../../../src/formats/registry.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { testIdentity } from '../../laws/format-laws.ts'
import { createPatternDisk, expectSameBytes, readAll } from '../../support/disks.ts'
import { startImportServer } from '../../support/import-server.ts'

const size = 3 * MiB

const createSource = () =>
  createPatternDisk([
    ['data', 300 * KiB],
    ['hole', 2 * MiB],
    ['data', size - 300 * KiB - 2 * MiB],
  ])

const guest = (): Promise<Uint8Array> => readAll(createSource())

const imageOf = async (format: 'raw' | 'vhd' | 'qcow2', subformat?: string): Promise<Buffer> => {
  const options = subformat === undefined ? {} : { subformat }
  const image = await formats[format].plan(createSource(), testIdentity, options)
  return Buffer.from(await readAll(image))
}

const bodies: [string, () => Promise<Buffer>][] = [
  ['raw', () => imageOf('raw')],
  ['dynamic VHD', () => imageOf('vhd')],
  ['fixed VHD', () => imageOf('vhd', 'fixed')],
  ['QCOW2', () => imageOf('qcow2')],
]

const start = async () => {
  const server = await startImportServer()
  const { connect, catalog, srUuid, createVdi } = server
  /** The answer, head and text. */
  const send = async (
    query: string,
    body: Uint8Array,
    header = `content-length: ${body.length}`,
  ): Promise<string> => {
    const client = await connect()
    client.send(`PUT /import_raw_vdi?${query} HTTP/1.1\r\nHost: x\r\n${header}\r\n\r\n`)
    client.send(body)
    return client.until(/\r\n\r\n[^]*\n/)
  }
  return {
    ...server,
    send,
    /** The VDI that the answer names. */
    madeBy: async (answer: string) => {
      expect(answer).toMatch(/^HTTP\/1\.1 200 /)
      const uuid = /\r\n\r\n(.*)\n/.exec(answer)![1]!
      return (await catalog.vdis.get(uuid))!
    },
    /** That nothing is made of it, and nothing changed; what is said. */
    refused: async (query: string, body: Uint8Array, header?: string): Promise<string> => {
      const vdi = await createVdi(size)
      const before = (await catalog.vdis.list()).length
      const answers = [
        await send(`sr_uuid=${srUuid}&${query}`, body, header),
        await send(`vdi=${vdi}&${query}`, body, header),
      ]
      for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 [45]\d\d /)
      expect(await catalog.vdis.list()).toHaveLength(before)
      expect((await catalog.vdis.get(vdi))!.layerUuid).toBeNull()
      return answers.join('\n')
    },
  }
}

const chunked = (body: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(`${body.length.toString(16)}\r\n`),
    body,
    Buffer.from('\r\n0\r\n\r\n'),
  ])

describe('format=auto', () => {
  test.each(bodies)(
    'takes %s as it is: a new VDI has the size of its disk',
    async (_name, body) => {
      const { send, srUuid, madeBy, read } = await start()
      const vdi = await madeBy(await send(`sr_uuid=${srUuid}&format=auto`, await body()))
      expect(vdi.virtualSize).toBe(size)
      expectSameBytes(await read(vdi.uuid), await guest())
    },
  )

  test.each(bodies)('takes %s into a VDI that is there', async (_name, body) => {
    const { send, createVdi, read } = await start()
    const vdi = await createVdi(size)
    expect(await send(`vdi=${vdi}&format=AUTO`, await body())).toMatch(/^HTTP\/1\.1 200 /)
    expectSameBytes(await read(vdi), await guest())
  })

  test('raw from a pipe does not tell its size', async () => {
    const { send, srUuid } = await start()
    const body = chunked(await imageOf('raw'))
    const answer = await send(`sr_uuid=${srUuid}&format=auto`, body, 'transfer-encoding: chunked')
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*size=/)
  })

  test.each([
    ['an HTML page', Buffer.from('<html>Not found</html>'), 'this is an HTML page'],
    ['a LUKS volume', Buffer.from('LUKS\xba\xbe', 'latin1'), 'say format=raw to store it as it is'],
    ['a zip', Buffer.from('PK\x03\x04', 'latin1'), 'extract the disk first'],
  ])('refuses %s', async (_name, start_, expected) => {
    const { refused } = await start()
    const body = Buffer.alloc(size)
    start_.copy(body)
    expect(await refused('format=auto', body)).toContain(expected)
  })

  test.each(['chunked', 'short'])('refuses %s=true, which is for raw alone', async (name) => {
    const { refused } = await start()
    const said = await refused(`format=auto&${name}=true`, await imageOf('raw'))
    expect(said).toContain(`${name}=true is for raw images alone: say format=raw`)
  })
})

const wrappings: [string, (bytes: Uint8Array) => Buffer][] = [
  ['gzip', (bytes) => gzipSync(bytes)],
  ['zstd', (bytes) => zstdCompressSync(bytes)],
]

describe.each(wrappings)('in %s', (coding, wrap) => {
  test.each(bodies)('%s is found by its first bytes', async (_name, body) => {
    const { send, srUuid, madeBy, createVdi, read } = await start()
    const wrapped = wrap(await body())
    const made = await madeBy(await send(`sr_uuid=${srUuid}&format=auto`, wrapped))
    expect(made.virtualSize).toBe(size)
    expectSameBytes(await read(made.uuid), await guest())
    const vdi = await createVdi(size)
    const coded = `content-length: ${wrapped.length}\r\ncontent-encoding: ${coding}`
    expect(await send(`vdi=${vdi}&format=auto&replace=true`, wrapped, coded)).toMatch(/ 200 /)
  })

  test.each(['vhd', 'qcow2'] as const)('%s by its own name', async (format) => {
    const { send, srUuid, madeBy, read } = await start()
    const made = await madeBy(
      await send(`sr_uuid=${srUuid}&format=${format}`, wrap(await imageOf(format))),
    )
    expectSameBytes(await read(made.uuid), await guest())
  })

  test('Content-Encoding says so for raw, from a pipe too, with a digest of what is sent', async () => {
    const { send, srUuid, madeBy, read } = await start()
    const wrapped = wrap(await guest())
    const digest = createHash('sha256').update(wrapped).digest('base64')
    const header = `transfer-encoding: chunked\r\ncontent-encoding: ${coding}\r\ncontent-digest: sha-256=:${digest}:`
    for (const query of ['', '&format=raw']) {
      const made = await madeBy(await send(`sr_uuid=${srUuid}${query}`, chunked(wrapped), header))
      expect(made.virtualSize).toBe(size)
      expectSameBytes(await read(made.uuid), await guest())
    }
  })

  test('format=raw stores what is compressed as it is', async () => {
    const { send, srUuid, madeBy, read } = await start()
    const wrapped = wrap(await guest())
    const made = await madeBy(await send(`sr_uuid=${srUuid}&format=raw`, wrapped))
    const stored = await read(made.uuid)
    expect(Buffer.compare(stored.subarray(0, wrapped.length), wrapped)).toBe(0)
  })

  test('a smaller raw disk leaves the end of its VDI as it was', async () => {
    const { send, createVdi, read } = await start()
    const vdi = await createVdi(size)
    await send(`vdi=${vdi}&format=raw`, Buffer.alloc(size, 7))
    expect(await send(`vdi=${vdi}&format=auto`, wrap(Buffer.alloc(MiB, 5)))).toMatch(/ 200 /)
    const expected = Buffer.concat([Buffer.alloc(MiB, 5), Buffer.alloc(size - MiB, 7)])
    expectSameBytes(await read(vdi), expected)
  })

  test('a larger one is refused', async () => {
    const { send, createVdi } = await start()
    const vdi = await createVdi(MiB)
    const answer = await send(`vdi=${vdi}&format=auto`, wrap(await guest()))
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*goes on after the 1049088 bytes/)
  })

  test.each(bodies)('%s that is cut leaves nothing, wherever it is', async (_name, body) => {
    const { refused } = await start()
    const wrapped = wrap(await body())
    for (const cut of [wrapped.length - 1, wrapped.length - 5, Math.floor(wrapped.length / 2)]) {
      expect(await refused('format=auto', wrapped.subarray(0, cut))).toMatch(/Cannot/)
    }
  })

  test('what was compressed again and again is refused', async () => {
    const { refused } = await start()
    const wrapped = wrap(wrap(wrap(wrap(await imageOf('qcow2')))))
    expect(await refused('format=auto', wrapped)).toContain('were taken off, and it is')
  })

  test('an image that is followed by more than its disk has is refused', async () => {
    const { refused } = await start()
    const image = await imageOf('qcow2')
    const wrapped = wrap(Buffer.concat([image, Buffer.alloc(70 * MiB)]))
    expect(await refused('format=auto', wrapped)).toContain('follow the image')
  })
})
