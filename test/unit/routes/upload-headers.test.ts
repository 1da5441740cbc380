// Headers that change what the body of an upload means: each is refused by name, by node:http's
// door and by that of the bare socket alike, before a byte is read, and the task says so too.

import { describe, expect, test } from 'vitest'
import { MiB } from '../../../src/units.ts'
import { expectSameBytes } from '../../support/disks.ts'
import { asChunks, patternOf, petabyte, put } from '../../support/import-requests.ts'
import { startImportServer } from '../../support/import-server.ts'

const size = MiB

/** Heads that node:http takes, and those that the bare socket does: by how they tell a length. */
const doors = [
  ['node:http, a length', `Content-Length: ${size}\r\n`, '1.1'],
  ['node:http, chunks', asChunks, '1.1'],
  ['the bare socket, no length', '', '1.1'],
  ['the bare socket, 1 PiB', petabyte, '1.1'],
  ['the bare socket, HTTP/1.0', `Content-Length: ${size}\r\n`, '1.0'],
] as const

const refused = [
  [415, 'Content-Encoding: compress', /gzip -dc FILE \| curl -T - URL/],
  [415, 'Content-Encoding: COMPRESS', /gzip -dc/],
  [415, 'Content-Encoding: br', /brotli -dc/],
  [415, 'Content-Encoding: x-what', /x-what" .*decode it before/],
  [415, 'Content-Encoding: identity, br', /identity, br/],
  [415, 'Content-Encoding: gzip, gzip', /one coding of the body is undone, not several/],
  [415, 'Content-Type: multipart/form-data; boundary=x', /curl -T FILE/],
  [415, 'Content-Type: multipart/byteranges; boundary=x', /multipart\/byteranges/],
  [
    415,
    'Content-Type: application/x-www-form-urlencoded',
    /Content-Type: application\/octet-stream/,
  ],
  [400, 'Content-Range: bytes 2097152-4194303/4194304', /cannot be resumed/],
  [400, 'Content-Range: bytes 0-1048575/4194304', /cannot be resumed/],
  [400, 'Content-Range: bytes 0-511/512', /cannot be resumed/],
  [400, 'Content-Range: bytes 0-1048575/*', /cannot be resumed/],
  [400, 'Content-Range: bytes */1048576', /cannot be resumed/],
  [400, 'Content-Range: sectors 0-9/10', /cannot be resumed/],
  [400, 'Content-Range: nonsense', /cannot be resumed/],
  [417, 'Expect: the-impossible', /the-impossible/],
  [417, 'Expect: 100-continue, the-impossible', /the-impossible/],
] as const

describe.each(doors)('%s', (_, framing, version) => {
  test.each(refused)('%i: %s', async (status, header, advice) => {
    const { connect, createVdi, createTask, ended, read } = await startImportServer()
    const vdi = await createVdi(size)
    const task = await createTask()
    const client = await connect()
    client.send(put(`vdi=${vdi}&task_id=${task}`, `${framing}${header}\r\n`, version))
    const answer = await client.until(/INVALID_VALUE.*\n/)
    const [name = '', value = ''] = header.split(': ')
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).toContain(
      `INVALID_VALUE [${name}, ${value}]: The header "${name}: ${value}" is refused: `,
    )
    expect(answer).toMatch(advice)
    expect(answer.includes('accept-encoding: gzip, zstd, xz, bzip2, identity\r\n')).toBe(
      name === 'Content-Encoding',
    )
    expect(await ended(task)).toMatchObject({
      status: 'failure',
      errorInfo: ['INVALID_VALUE', name, value],
    })
    expectSameBytes(await read(vdi), Buffer.alloc(size))
  })

  test.each([
    'Content-Encoding: identity',
    'Content-Type: application/octet-stream',
    'Content-Language: en',
  ])('%s says nothing else', async (header) => {
    const { connect, createVdi } = await startImportServer()
    const client = await connect()
    // The VDI that is not there is the first thing to refuse.
    client.send(
      put(`vdi=${await createVdi(size)}&replace=maybe`, `${framing}${header}\r\n`, version),
    )
    expect(await client.until(/INVALID_VALUE.*\n/)).toContain('[replace, maybe]')
  })
})

describe('a transfer coding other than chunked', () => {
  test.each([
    ['gzip, chunked', ''],
    ['Chunked, gzip', ''],
    ['gzip', ''],
    ['identity', ''],
    ['identity', `Content-Length: ${size}\r\n`],
    ['xchunked', ''],
  ])('%s is 501, and fails the task', async (coding, more) => {
    const { connect, createVdi, createTask, ended, read } = await startImportServer()
    const vdi = await createVdi(size)
    const task = await createTask()
    const client = await connect()
    client.send(put(`vdi=${vdi}&task_id=${task}`, `Transfer-Encoding: ${coding}\r\n${more}`))
    const answer = await client.until(/only chunked is known.*\n/)
    expect(answer).toMatch(/^HTTP\/1\.1 501 /)
    expect(answer).toContain(`"Transfer-Encoding: ${coding}" is refused`)
    expect(await ended(task)).toMatchObject({ status: 'failure' })
    expectSameBytes(await read(vdi), Buffer.alloc(size))
  })

  test('in a line of its own, before chunked', async () => {
    const { connect, createVdi } = await startImportServer()
    const client = await connect()
    client.send(put(`vdi=${await createVdi(size)}`, `Transfer-Encoding: gzip\r\n${asChunks}`))
    expect(await client.until(/only chunked is known/)).toMatch(/^HTTP\/1\.1 501 /)
  })
})

test.each(['1.0', '1.1'])(
  'HTTP/%s: a range that is the whole, as its length says, is taken',
  async (version) => {
    const { connect, createVdi, read } = await startImportServer()
    const vdi = await createVdi(size)
    const client = await connect()
    const headers = `Content-Length: ${size}\r\nContent-Range: bytes 0-${size - 1}/${size}\r\n`
    client.send(put(`vdi=${vdi}`, headers, version))
    client.send(patternOf(size))
    expect(await client.until(new RegExp(`${vdi}\n`))).toMatch(/^HTTP\/1\.1 200 /)
    expectSameBytes(await read(vdi), patternOf(size))
  },
)

test('an expectation that is not known is 417 everywhere', async () => {
  const { connect } = await startImportServer()
  const client = await connect()
  client.send('GET /nothing HTTP/1.1\r\nHost: x\r\nExpect: the-impossible\r\n\r\n')
  expect(await client.until(/INVALID_VALUE.*\n/)).toMatch(/^HTTP\/1\.1 417 /)
})
