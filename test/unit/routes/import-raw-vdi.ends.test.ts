// Bodies that hold nothing, or less than the disk: what counts as an upload, and when a raw one is
// whole.

import { describe, expect, test } from 'vitest'
import { MiB } from '../../../src/units.ts'
import { expectSameBytes } from '../../support/disks.ts'
import { asChunks, inChunks, patternOf, petabyte, put } from '../../support/import-requests.ts'
import { startImportServer } from '../../support/import-server.ts'

const size = 8 * MiB

const startWithContent = async () => {
  const server = await startImportServer()
  const vdi = await server.createVdi(size)
  const client = await server.connect()
  client.send(put(`vdi=${vdi}`, `content-length: ${size}\r\n`))
  client.send(patternOf(size, 1))
  await client.until(new RegExp(vdi))
  return { ...server, vdi }
}

/**
 * How an upload tells where it ends: its headers and version, how its bytes are framed, whether 200
 * comes before them.
 */
const framings = {
  'Content-Length 0': { headers: 'content-length: 0\r\n', version: '1.1', isEarly: false },
  'HTTP/1.0, Content-Length 0': {
    headers: 'content-length: 0\r\n',
    version: '1.0',
    isEarly: false,
  },
  'Transfer-Encoding: chunked': { headers: asChunks, version: '1.1', isEarly: false },
  'HTTP/1.0 without a length': { headers: '', version: '1.0', isEarly: true },
  'HTTP/1.1 without a length': { headers: '', version: '1.1', isEarly: true },
  '1 PiB': { headers: petabyte, version: '1.1', isEarly: true },
}
type Framing = keyof typeof framings

/**
 * An answer that refuses with `sentence`; where the 200 had to go out before the body, nothing says
 * success after it.
 */
const refusal = (framing: Framing, sentence: string): RegExp =>
  framings[framing].isEarly
    ? /^HTTP\/1\.1 200 OK\r\n(?![^]*vdi-uuid)[^]*\r\n\r\n(?![0-9a-f-]{36}\n)/
    : new RegExp(`^HTTP/1\\.1 400 [^]*VDI_IO_ERROR.*${sentence}`)

type Server = Awaited<ReturnType<typeof startWithContent>>

/** Sends an upload and ends it in order; the answer. */
const upload = async (
  { connect }: Server,
  query: string,
  framing: Framing,
  bytes: Uint8Array,
): Promise<string> => {
  const { headers, version } = framings[framing]
  const client = await connect()
  client.send(put(query, headers, version))
  client.send(headers === asChunks ? inChunks(bytes) : bytes)
  client.socket.end()
  return client.closed
}

describe('no byte came', () => {
  const nothing = Buffer.alloc(0)
  const ways = Object.keys(framings) as Framing[]

  test.each(ways)('%s, with a task: it fails, and the VDI stays', async (framing) => {
    const server = await startWithContent()
    for (const format of ['raw', 'vhd', 'qcow2']) {
      const task = await server.createTask()
      const query = `vdi=${server.vdi}&format=${format}&task_id=${task}`
      const answer = await upload(server, query, framing, nothing)
      expect(answer).toMatch(refusal(framing, 'no byte came'))
      expect(await server.ended(task)).toMatchObject({
        status: 'failure',
        errorInfo: ['VDI_IO_ERROR', expect.stringContaining('no byte came') as unknown],
      })
    }
    expectSameBytes(await server.read(server.vdi), patternOf(size, 1))
  })

  test.each(ways)('%s, with replace: refused, nothing is replaced', async (framing) => {
    const server = await startWithContent()
    const answer = await upload(server, `vdi=${server.vdi}&replace=true`, framing, nothing)
    expect(answer).toMatch(refusal(framing, 'no byte came'))
    expectSameBytes(await server.read(server.vdi), patternOf(size, 1))
  })

  test.each(ways)('%s, into a new VDI: refused, none is made', async (framing) => {
    const server = await startWithContent()
    const task = await server.createTask()
    const query = `sr_uuid=default&format=vhd&task_id=${task}`
    const answer = await upload(server, query, framing, nothing)
    expect(answer).toMatch(refusal(framing, 'no byte came'))
    expect(await server.ended(task)).toMatchObject({ status: 'failure' })
    expect(await server.catalog.vdis.list()).toHaveLength(1)
  })

  const questions: Framing[] = ['Content-Length 0', '1 PiB']

  test.each(questions)(
    '%s, without a task: Orchestra’s question, answered by 200',
    async (framing) => {
      const server = await startWithContent()
      const answer = await upload(server, `vdi=${server.vdi}`, framing, nothing)
      expect(answer).toMatch(/^HTTP\/1.1 200 /)
      expect(answer.endsWith(`\r\n\r\n${server.vdi}\n`)).toBe(true)
      expectSameBytes(await server.read(server.vdi), patternOf(size, 1))
    },
  )

  test.each(ways.filter((framing) => !questions.includes(framing)))(
    '%s, without a task: no question, refused',
    async (framing) => {
      const server = await startWithContent()
      const answer = await upload(server, `vdi=${server.vdi}`, framing, nothing)
      expect(answer).toMatch(refusal(framing, 'no byte came'))
      expectSameBytes(await server.read(server.vdi), patternOf(size, 1))
    },
  )
})

describe('a raw stream without a length', () => {
  const ways: Framing[] = [
    'Transfer-Encoding: chunked',
    'HTTP/1.0 without a length',
    'HTTP/1.1 without a length',
  ]

  test.each(ways)('%s: half of the disk is a failure, and changes nothing', async (framing) => {
    const server = await startWithContent()
    for (const length of [1, size / 2, size - 2 * MiB - 1]) {
      const task = await server.createTask()
      const query = `vdi=${server.vdi}&task_id=${task}`
      const answer = await upload(server, query, framing, patternOf(size).subarray(0, length))
      const found = `the stream ended after ${length} of ${size} bytes`
      expect(answer).toMatch(refusal(framing, found))
      expect(await server.ended(task)).toMatchObject({
        status: 'failure',
        errorInfo: ['VDI_IO_ERROR', expect.stringContaining(found) as unknown],
      })
    }
    expectSameBytes(await server.read(server.vdi), patternOf(size, 1))
  })

  test.each(ways)('%s: without a task the answer is no success either', async (framing) => {
    const server = await startWithContent()
    const answer = await upload(server, `vdi=${server.vdi}`, framing, patternOf(MiB))
    expect(answer).not.toContain(server.vdi)
    expect(answer).toMatch(refusal(framing, 'ended after 1048576 of 8388608 bytes.*short=true'))
    expectSameBytes(await server.read(server.vdi), patternOf(size, 1))
  })

  test.each(ways)('%s: short=true takes it, the rest stays as it is', async (framing) => {
    const server = await startWithContent()
    const bytes = patternOf(3 * MiB + 5)
    expect(await upload(server, `vdi=${server.vdi}&short=true`, framing, bytes)).toContain(
      server.vdi,
    )
    const expected = patternOf(size, 1)
    expected.fill(0, bytes.length, bytes.length + 507)
    bytes.copy(expected)
    expectSameBytes(await server.read(server.vdi), expected)
  })

  test.each(ways)(
    '%s: what a VDI was rounded up by may be missing, and is zeros',
    async (framing) => {
      const server = await startWithContent()
      const bytes = patternOf(size - 2 * MiB)
      expect(await upload(server, `vdi=${server.vdi}`, framing, bytes)).toContain(server.vdi)
      const expected = Buffer.alloc(size)
      bytes.copy(expected)
      expectSameBytes(await server.read(server.vdi), expected)
    },
  )

  test('of a small disk, half is not rounding', async () => {
    const server = await startWithContent()
    const vdi = await server.createVdi(2 * MiB)
    const answer = await upload(server, `vdi=${vdi}`, 'Transfer-Encoding: chunked', patternOf(MiB))
    expect(answer).toMatch(/^HTTP\/1.1 400 /)
  })

  test('1 PiB is exact, unless short=true', async () => {
    const server = await startWithContent()
    for (const [query, status] of [
      ['', 'failure'],
      ['&short=true', 'success'],
    ] as const) {
      const task = await server.createTask()
      const target = `vdi=${server.vdi}&task_id=${task}${query}`
      await upload(server, target, '1 PiB', patternOf(size - 512))
      expect(await server.ended(task)).toMatchObject({ status })
    }
  })

  test('with a Content-Length a shorter image is fine', async () => {
    const server = await startWithContent()
    const client = await server.connect()
    client.send(put(`vdi=${server.vdi}`, `content-length: ${MiB}\r\n`))
    client.send(patternOf(MiB))
    expect(await client.until(/\r\n\r\n/)).toMatch(/^HTTP\/1.1 200 /)
    const expected = patternOf(size, 1)
    patternOf(MiB).copy(expected)
    expectSameBytes(await server.read(server.vdi), expected)
  })

  test.each([
    ['a VHD', '&format=vhd', Buffer.from('conectix')],
    ['XenServer’s chunks', '&chunked=true', Buffer.alloc(12)],
  ])('short=true is refused for %s, which tells its own end', async (_, query, bytes) => {
    const server = await startWithContent()
    const target = `vdi=${server.vdi}&short=true${query}`
    const answer = await upload(server, target, 'Transfer-Encoding: chunked', bytes)
    expect(answer).toMatch(/^HTTP\/1.1 400 [^]*INVALID_VALUE \[short, true\]/)
  })
})
