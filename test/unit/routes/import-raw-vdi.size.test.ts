// size=: how large a VDI is to be, where neither the upload nor a VDI tells it.

import { describe, expect, test } from 'vitest'
import { MiB, TiB } from '../../../src/units.ts'
import { expectSameBytes } from '../../support/disks.ts'
import {
  asChunks,
  chunk,
  inChunks,
  lastChunk,
  patternOf,
  petabyte,
  put,
  vhdOf,
} from '../../support/import-requests.ts'
import { startImportServer } from '../../support/import-server.ts'

const size = 4 * MiB

const whole = (bytes: Uint8Array): Buffer => {
  const padded = Buffer.alloc(size)
  padded.set(bytes)
  return padded
}

const fixedVhd = (bytes = size): Promise<Buffer> => vhdOf(bytes, { subformat: 'fixed' })

type Server = Awaited<ReturnType<typeof startImportServer>>

/** Sends an upload for a new VDI from a pipe, and ends it in order; the answer. */
const uploadNew = async (
  { connect }: Server,
  query: string,
  bytes: Uint8Array,
  headers = asChunks,
): Promise<string> => {
  const client = await connect()
  client.send(put(`sr_uuid=default${query}`, headers))
  client.send(headers === asChunks ? inChunks(bytes) : bytes)
  client.socket.end()
  return client.closed
}

const lengthOf = (bytes: Uint8Array): string => `Content-Length: ${bytes.length}\r\n`

/** The content of the one VDI that was made. */
const readOnly = async (server: Server): Promise<Uint8Array> => {
  const vdis = await server.catalog.vdis.list()
  expect(vdis).toHaveLength(1)
  return server.read(vdis[0]!.uuid)
}

describe('a new VDI', () => {
  test.each([
    ['raw from a pipe, in bytes', `&size=${size}`, patternOf(size), asChunks],
    ['raw from a pipe, with a unit', '&size=4MiB', patternOf(size), asChunks],
    ['raw until the connection ends', '&size=4MiB', patternOf(size), ''],
    ['raw announced as 1 PiB', '&size=4MiB', patternOf(size), petabyte],
    ['raw that is smaller, with a length', '&size=4MiB', patternOf(MiB), lengthOf(patternOf(MiB))],
    ['raw that is smaller, short=true', '&size=4MiB&short=true', patternOf(MiB), asChunks],
    ['raw that ends within a sector', `&size=${size - 500}`, patternOf(size - 500), asChunks],
    [
      'XenServer’s chunks',
      '&size=4MiB&chunked=true',
      Buffer.concat([chunk(0, patternOf(MiB)), lastChunk]),
      '',
    ],
  ])('%s', async (_, query, bytes, headers) => {
    const server = await startImportServer()
    expect(await uploadNew(server, query, bytes, headers)).toMatch(
      /^HTTP\/1\.1 200 [^]*[0-9a-f-]{36}\n/,
    )
    const content = query.includes('chunked') ? patternOf(MiB) : bytes
    expectSameBytes(await readOnly(server), whole(content))
  })

  test.each([
    ['with size=', '&size=4MiB', size],
    ['with a larger size=', '&size=4MiB', MiB],
    ['that waits for its footer', '', size],
  ])('fixed VHD from a pipe %s', async (_, query, bytes) => {
    const server = await startImportServer()
    const answer = await uploadNew(server, `&format=vhd${query}`, await fixedVhd(bytes))
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expectSameBytes(await readOnly(server), whole(patternOf(bytes)))
  })

  test('a dynamic VHD lies at the start of a larger one', async () => {
    const server = await startImportServer()
    const image = await vhdOf(2 * MiB)
    const answer = await uploadNew(server, '&format=vhd&size=4MiB', image, lengthOf(image))
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expectSameBytes(await readOnly(server), whole(patternOf(2 * MiB)))
  })

  test.each([
    ['raw from a pipe without one', '', patternOf(MiB), /\[size, \]: .*Say size=/],
    ['raw that ends early', '&size=4MiB', patternOf(MiB), /ended after 1048576 of 4194304 bytes/],
    ['raw that goes on', '&size=1MiB', patternOf(2 * MiB), /goes on after the 1048576 bytes/],
    [
      'a fixed VHD of another size',
      '&format=vhd&size=1MiB',
      fixedVhd(size),
      /bytes came and more may follow|data at/,
    ],
    [
      'a fixed VHD that was cut',
      '&format=vhd',
      fixedVhd(size).then((bytes) => bytes.subarray(0, -512)),
      /neither is a footer/,
    ],
    ['nothing', '&size=4MiB', Buffer.alloc(0), /no byte came/],
    ['no number', '&size=big', patternOf(MiB), /size is "big", must be/],
    ['0', '&size=0', patternOf(MiB), /size is "0", must be/],
    ['a size that no VDI has', `&size=${17 * TiB}`, patternOf(MiB), /VDI_TOO_LARGE/],
  ])('%s is refused, and none is made', async (_, query, bytes, expected) => {
    const server = await startImportServer()
    const answer = await uploadNew(server, query, await bytes)
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(answer).toMatch(expected)
    expect(await server.catalog.vdis.list()).toHaveLength(0)
  })

  test('an image that is larger than size= is refused before its first byte', async () => {
    const server = await startImportServer()
    const client = await server.connect()
    const headers = `Content-Length: ${8 * MiB}\r\nExpect: 100-continue\r\n`
    client.send(put('sr_uuid=default&size=4MiB', headers))
    expect(await client.until(/at least as large/)).toMatch(/^HTTP\/1\.1 400 /)
  })

  test('a VHD of a larger disk than size= is refused', async () => {
    const server = await startImportServer()
    const answer = await uploadNew(server, '&format=vhd&size=1MiB', await vhdOf(size))
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*at least as large as its image/)
    expect(await server.catalog.vdis.list()).toHaveLength(0)
  })
})

test('with a VDI that is there, size= must be that of the VDI', async () => {
  const { connect, createVdi } = await startImportServer()
  const vdi = await createVdi(size)
  for (const [told, status] of [
    ['8MiB', 400],
    ['4MiB', 200],
  ] as const) {
    const client = await connect()
    client.send(put(`vdi=${vdi}&size=${told}`, `Content-Length: ${size}\r\n`))
    client.send(patternOf(size))
    const answer = await client.until(new RegExp(`${vdi}.*\n`))
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  }
})
