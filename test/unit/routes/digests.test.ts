// What a client says that its upload is: read, and held against what came.

import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createDigestCheck, requireNoDigest } from '../../../routes/digests.ts'
import { cutInChunks } from '../../support/disks.ts'

const body = Buffer.from('what was sent')

const digest = (algorithm: string, of: Uint8Array = body): string =>
  createHash(algorithm).update(of).digest('base64')

/** Passes the body; throws what `verify` throws. */
const receive = async (headers: Record<string, string>, bytes: Uint8Array = body) => {
  const check = createDigestCheck(headers)!
  const passed: Uint8Array[] = []
  for await (const chunk of check.pass(cutInChunks(bytes, [5]))) passed.push(chunk)
  expect(Buffer.concat(passed)).toEqual(Buffer.from(bytes))
  check.verify()
}

describe('digests of uploads', () => {
  test.each([
    ['content-digest', `sha-256=:${digest('sha256')}:`],
    ['content-digest', `sha-512=:${digest('sha512')}:;q=1, unixsum=:AAAA:`],
    ['repr-digest', `SHA-256=:${digest('sha256')}:, sha-512=:${digest('sha512')}:`],
    ['digest', `SHA-256=${digest('sha256')}`],
    ['digest', `md5=${digest('md5')},sha=${digest('sha1')}`],
    ['content-md5', digest('md5')],
  ])('%s: %s', async (header, value) => {
    await receive({ [header]: value })
    const other = receive({ [header]: value }, Buffer.from('what was sent!'))
    await expect(other).rejects.toMatchObject({
      code: 'IMPORT_ERROR_GENERIC',
      message: expect.stringContaining('the 14 bytes received') as unknown,
    })
  })

  test('one that is right does not excuse another that is wrong', async () => {
    const both = `sha-512=:${digest('sha512')}:, sha-256=:${digest('sha256', Buffer.from('x'))}:`
    await expect(receive({ 'content-digest': both })).rejects.toThrow(/the sha-256 of/)
    const headers = {
      'content-digest': `sha-512=:${digest('sha512')}:`,
      'content-md5': digest('md5', Buffer.from('x')),
    }
    await expect(receive(headers)).rejects.toThrow(/not what its Content-MD5 says/)
  })

  test('without one nothing is hashed', () => {
    expect(createDigestCheck({ 'content-type': 'application/octet-stream' })).toBeUndefined()
  })

  test.each([
    ['content-digest', 'crc32c=:AAAAAA==:', /names crc32c: sha-256, sha-512, sha, md5 are known/],
    ['content-digest', digest('sha256'), /must be like sha-256=:<base64>:/],
    ['content-digest', `sha-256=${digest('sha256')}`, /must be like sha-256=:<base64>:/],
    ['digest', `sha-256=:${digest('sha256')}:`, /must be like sha-256=<base64>/],
    ['content-digest', `sha-256=:${digest('md5')}:`, /must be 32 bytes in base64/],
    ['content-digest', '', /must be like/],
    ['content-md5', 'nonsense', /must be 16 bytes in base64/],
    ['trailer', 'expires, Content-Digest', /Content-Digest comes behind the body/],
  ])('%s: %s is refused before the body', (header, value, message) => {
    expect(() => createDigestCheck({ [header]: value })).toThrow(message)
  })

  test('one that nobody announced is refused behind the body', () => {
    expect(() => requireNoDigest('Trailer', ['repr-digest'])).toThrow(/Repr-Digest comes behind/)
    requireNoDigest('Trailer', ['expires'])
  })
})
