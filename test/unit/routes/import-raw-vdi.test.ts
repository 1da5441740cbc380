// Which uploads are answered when, and what becomes of them: the table of ways in which a body
// comes.

import { describe, expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { MiB } from '../../../src/units.ts'
import { expectSameBytes, fillPattern } from '../../support/disks.ts'
import { chunk, lastChunk, patternOf, petabyte, put, vhdOf } from '../../support/import-requests.ts'
import { startImportServer } from '../../support/import-server.ts'

const size = 4 * MiB

const pattern = (seed = 0): Buffer => patternOf(size, seed)
const vhdImage = (): Promise<Buffer> => vhdOf(size)

describe('a body that ends with the connection', () => {
  test.each(['1.0', '1.1'])(
    'HTTP/%s: 200 before the first byte, without a transfer coding, the result in the task',
    async (version) => {
      const { connect, createVdi, createTask, ended, read } = await startImportServer()
      const vdi = await createVdi(size)
      const task = await createTask()
      const client = await connect()
      client.send(put(`vdi=${vdi}&task_id=${task}`, '', version))
      const head = await client.until(/\r\n\r\n/)
      expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      expect(head).not.toMatch(/transfer-encoding|content-length/i)
      expect(head).toMatch(/connection: close\r\n/)
      client.send(pattern())
      client.socket.end()
      expect(await ended(task)).toMatchObject({
        status: 'success',
        result: `<value>OpaqueRef:${vdi}</value>`,
      })
      expect((await client.closed).slice(head.length)).toBe(`${vdi}\n`)
      expectSameBytes(await read(vdi), pattern())
    },
  )

  test('HTTP/1.0 with a length is answered early too', async () => {
    const { connect, createVdi, read } = await startImportServer()
    const vdi = await createVdi(size)
    const client = await connect()
    client.send(put(`vdi=${vdi}`, `content-length: ${size}\r\n`, '1.0'))
    const head = await client.until(/\r\n\r\n/)
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(head).not.toMatch(/transfer-encoding|content-length/i)
    client.send(pattern())
    expect((await client.closed).slice(head.length)).toBe(`${vdi}\n`)
    expectSameBytes(await read(vdi), pattern())
  })

  test('HTTP/1.0 with a length: a client that closes after the last byte has sent all of it', async () => {
    const { connect, createVdi, ended, createTask, read } = await startImportServer()
    const vdi = await createVdi(16 * MiB)
    const bytes = Buffer.alloc(16 * MiB)
    fillPattern(0, bytes)
    for (const length of [bytes.length - 1, bytes.length]) {
      const task = await createTask()
      const client = await connect()
      const head = put(`vdi=${vdi}&task_id=${task}`, `content-length: ${bytes.length}\r\n`, '1.0')
      client.socket.end(Buffer.concat([Buffer.from(head), bytes.subarray(0, length)]))
      const { status, errorInfo } = await ended(task)
      const isWhole = length === bytes.length
      expect([status, ...errorInfo.slice(0, 1)]).toEqual(
        isWhole ? ['success'] : ['failure', 'VDI_IO_ERROR'],
      )
    }
    expectSameBytes(await read(vdi), bytes)
  })

  test('a VHD is done where it ends, while the client still holds the connection', async () => {
    const { connect, createVdi, createTask, ended, read } = await startImportServer()
    const vdi = await createVdi(size)
    const task = await createTask()
    const client = await connect()
    client.send(put(`vdi=${vdi}&task_id=${task}&format=vhd`, '', '1.0'))
    await client.until(/\r\n\r\n/)
    client.send(await vhdImage())
    expect(await ended(task)).toMatchObject({ status: 'success' })
    expectSameBytes(await read(vdi), pattern())
  })

  test.each([
    [401, 'vdi=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0', new AppError('SESSION_INVALID', [])],
    [403, 'vdi=x', new AppError('RBAC_PERMISSION_DENIED', ['p', 'm'])],
    [404, 'vdi=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0', undefined],
    [404, 'sr_id=OpaqueRef:gone', undefined],
    [400, 'sr_id=default', undefined],
    [400, 'sr_id=default&chunked=true', undefined],
    [400, '', undefined],
  ])('%i: what can be refused is refused before a byte', async (status, query, error) => {
    const { connect, createTask, catalog } = await startImportServer({ denial: error })
    const task = await createTask()
    const client = await connect()
    client.send(put(`${query}&task_id=${task}`, '', '1.0'))
    expect(await client.closed).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect((await catalog.tasks.get(task))!.status).toBe(status === 401 ? 'pending' : 'failure')
  })

  test('a cut VHD leaves the VDI as it was; the task says how far it came', async () => {
    const { connect, createVdi, createTask, ended, read } = await startImportServer()
    const vdi = await createVdi(size)
    const task = await createTask()
    const client = await connect()
    client.send(put(`vdi=${vdi}&task_id=${task}&format=vhd`, '', '1.0'))
    await client.until(/\r\n\r\n/)
    client.send((await vhdImage()).subarray(0, 3 * MiB))
    client.socket.end()
    expect(await ended(task)).toMatchObject({
      status: 'failure',
      errorInfo: ['VDI_IO_ERROR', expect.stringContaining(`after ${3 * MiB} bytes`) as unknown],
    })
    await client.closed
    expectSameBytes(await read(vdi), Buffer.alloc(size))
  })

  test('a failure without a task breaks the connection', async () => {
    const { connect, createVdi } = await startImportServer()
    const client = await connect()
    client.send(put(`vdi=${await createVdi(size)}&format=qcow2`, '', '1.0'))
    const head = await client.until(/\r\n\r\n/)
    client.send('no QCOW2 image'.repeat(1000))
    expect(await client.closed).toBe(head)
  })

  test('as the second request of a connection: 411 says why', async () => {
    const { connect, createVdi, createTask, ended } = await startImportServer()
    const vdi = await createVdi(size)
    const task = await createTask()
    const client = await connect()
    client.send('GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n')
    await client.until(/There is nothing at/)
    client.send(put(`vdi=${vdi}&task_id=${task}`))
    expect(await client.until(/only the first request/)).toContain('HTTP/1.1 411 ')
    expect(await ended(task)).toMatchObject({ status: 'failure' })
  })
})

describe('1 PiB announced: the client cuts the connection after the last byte', () => {
  test('raw is whole at exactly the size of the VDI', async () => {
    const { connect, createVdi, createTask, ended, read } = await startImportServer()
    const vdi = await createVdi(size)
    for (const [length, expected] of [
      [size - 512, ['failure', 'VDI_IO_ERROR']],
      [size + 512, ['failure', 'VDI_IO_ERROR']],
      [size, ['success']],
    ] as const) {
      const task = await createTask()
      const client = await connect()
      client.send(put(`vdi=${vdi}&task_id=${task}`, petabyte))
      const head = await client.until(/\r\n\r\n/)
      expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      expect(head).not.toMatch(/transfer-encoding/i)
      client.send(Buffer.concat([pattern(), Buffer.alloc(512)]).subarray(0, length))
      client.socket.end()
      const { status, errorInfo } = await ended(task)
      expect([length, status, ...errorInfo.slice(0, 1)]).toEqual([length, ...expected])
    }
    expectSameBytes(await read(vdi), pattern())
  })

  test('a VHD ends where it says, a cut one fails', async () => {
    const { connect, createVdi, createTask, ended, read } = await startImportServer()
    const vdi = await createVdi(size)
    const image = await vhdImage()
    for (const length of [image.length - 1000, image.length]) {
      const task = await createTask()
      const client = await connect()
      client.send(put(`vdi=${vdi}&task_id=${task}&format=vhd`, petabyte))
      await client.until(/\r\n\r\n/)
      client.send(image.subarray(0, length))
      client.socket.end()
      const { status } = await ended(task)
      expect(status).toBe(length === image.length ? 'success' : 'failure')
    }
    expectSameBytes(await read(vdi), pattern())
  })

  test('without a byte it is a question: 200 even while another import runs', async () => {
    const { connect, createVdi, leases, transfers, catalog } = await startImportServer()
    const vdi = await createVdi(size)
    const release = leases.take(vdi, 'another import')
    const client = await connect()
    client.send(put(`vdi=${vdi}`, petabyte))
    expect(await client.until(/\r\n\r\n/)).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(leases.holder(vdi)).toBe('another import')
    release()
    expect(leases.holder(vdi)).toBeUndefined()
    client.socket.end()
    await client.closed
    expect(transfers.running).toBe(0)
    expect((await catalog.vdis.get(vdi))!.layerUuid).toBeNull()
  })
})

describe('a failure after the upload has begun', () => {
  const failing = `content-length: ${size}\r\n`

  test('with a task: the body is taken to its end, then comes a 200 that names the error', async () => {
    const { connect, createVdi, createTask, ended } = await startImportServer()
    const task = await createTask()
    const client = await connect()
    client.send(put(`vdi=${await createVdi(size)}&task_id=${task}&format=qcow2`, failing))
    client.send('no QCOW2 image'.repeat(1000))
    expect(await ended(task)).toMatchObject({ errorInfo: ['IMPORT_ERROR_GENERIC', /./] as unknown })
    client.send(Buffer.alloc(size - 14_000))
    expect(await client.until(/IMPORT_ERROR/)).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  })

  test('without one: the true status at once', async () => {
    const { connect, createVdi } = await startImportServer()
    const client = await connect()
    client.send(put(`vdi=${await createVdi(size)}&format=qcow2`, failing))
    client.send('no QCOW2 image'.repeat(1000))
    expect(await client.until(/IMPORT_ERROR/)).toMatch(/^HTTP\/1\.1 400 IMPORT_ERROR_GENERIC\r\n/)
  })

  test('a raw image that is longer than its VDI is refused by its length', async () => {
    const { connect, createVdi } = await startImportServer()
    const client = await connect()
    const headers = `content-length: ${size + 3 * MiB}\r\nexpect: 100-continue\r\n`
    client.send(put(`vdi=${await createVdi(size)}`, headers))
    expect(await client.until(/VDI_TOO_SMALL/)).toMatch(/^HTTP\/1\.1 413 /)
  })
})

describe('XenServer’s chunks', () => {
  test('by cookie, as vhd-tool sends them: only what they hold is written', async () => {
    const { connect, createVdi, read } = await startImportServer()
    const vdi = await createVdi(size)
    const whole = await connect()
    whole.send(put(`vdi=${vdi}`, '', '1.0'))
    await whole.until(/\r\n\r\n/)
    whole.socket.end(pattern(1))
    await whole.closed

    const client = await connect()
    client.send(put(`vdi=${vdi}`, 'cookie: chunked=true\r\n'))
    const head = await client.until(/\r\n\r\n/)
    expect(head).not.toMatch(/transfer-encoding/i)
    const expected = pattern(1)
    const bytes = pattern(0).subarray(0, 2 * MiB)
    for (const offset of [2 * MiB, MiB + 512]) {
      const length = offset === 2 * MiB ? 2 * MiB : 1024
      client.send(chunk(offset, bytes.subarray(0, length)))
      bytes.copy(expected, offset, 0, length)
    }
    client.send(lastChunk)
    // The last chunk is the end: the answer does not wait for the connection to close.
    expect((await client.closed).slice(head.length)).toBe(`${vdi}\n`)
    expectSameBytes(await read(vdi), expected)
  })

  test('a sector too many at the end, as vhd-tool sends of 67 MiB, is taken', async () => {
    const { connect, createVdi, read } = await startImportServer()
    const vdi = await createVdi(size)
    const client = await connect()
    client.send(put(`vdi=${vdi}`, 'cookie: chunked=true\r\n'))
    const head = await client.until(/\r\n\r\n/)
    client.send(chunk(0, pattern().subarray(0, 3 * MiB)))
    client.send(chunk(3 * MiB, Buffer.concat([pattern().subarray(3 * MiB), Buffer.alloc(512)])))
    client.send(chunk(size + 512, Buffer.alloc(2 * MiB - 512)))
    client.send(lastChunk)
    expect((await client.closed).slice(head.length)).toBe(`${vdi}\n`)
    expectSameBytes(await read(vdi), pattern())
  })

  test('the end alone is an end: nothing changes, or all becomes zeros', async () => {
    const { connect, createVdi, createTask, ended, read } = await startImportServer()
    const vdi = await createVdi(size)
    const first = await connect()
    first.send(put(`vdi=${vdi}`, `content-length: ${size}\r\n`))
    first.send(pattern())
    await first.until(new RegExp(vdi))
    for (const [query, expected] of [
      ['', pattern()],
      ['&replace=true', Buffer.alloc(size)],
    ] as const) {
      const task = await createTask()
      const client = await connect()
      client.send(put(`vdi=${vdi}&task_id=${task}&chunked=true${query}`))
      await client.until(/\r\n\r\n/)
      client.send(lastChunk)
      expect(await ended(task)).toMatchObject({ status: 'success' })
      expectSameBytes(await read(vdi), expected)
    }
  })

  test('a VHD with chunked=true is a plain VHD', async () => {
    const { connect, createVdi, read } = await startImportServer()
    const vdi = await createVdi(size)
    const client = await connect()
    client.send(put(`vdi=${vdi}&format=vhd`, 'cookie: chunked=true\r\n'))
    client.socket.end(await vhdImage())
    expect(await client.closed).toContain(vdi)
    expectSameBytes(await read(vdi), pattern())
  })

  test.each([
    [
      'with data past the end',
      [chunk(size - 512, Buffer.alloc(1024, 1))],
      /data at 4194304, after/,
    ],
    [
      'with zeros too far past the end',
      [chunk(size + 2 * MiB, Buffer.alloc(512))],
      /512 bytes at 6291456, goes past/,
    ],
    ['far past the end', [chunk(2 ** 53 - 512, Buffer.alloc(512))], /goes past the end/],
    ['not of sectors', [chunk(512, Buffer.alloc(100))], /chunk 0, 100 bytes at 512, is not made/],
    ['not at a sector', [chunk(100, Buffer.alloc(512))], /512 bytes at 100, is not made/],
    [
      'twice',
      [chunk(0, Buffer.alloc(1024)), chunk(512, Buffer.alloc(1024))],
      /chunk 1, 1024 bytes at 512, overlaps/,
    ],
    ['without the last one', [chunk(0, Buffer.alloc(512))], /header of chunk 1: the stream ends/],
    ['cut in the middle', [chunk(0, Buffer.alloc(512)).subarray(0, 300)], /chunk 0: the stream/],
  ])('a chunk %s fails the import', async (_, chunks, expected) => {
    const { connect, createVdi, createTask, ended, read } = await startImportServer()
    const vdi = await createVdi(size)
    const task = await createTask()
    const client = await connect()
    client.send(put(`vdi=${vdi}&task_id=${task}&chunked=true`, '', '1.0'))
    client.socket.end(Buffer.concat(chunks))
    expect((await ended(task)).errorInfo[1]).toMatch(expected)
    await client.closed
    expectSameBytes(await read(vdi), Buffer.alloc(size))
  })
})
