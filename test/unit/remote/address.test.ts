// What a client may say of another server.

import { describe, expect, test } from 'vitest'
import { remoteAddress } from '../../../src/remote/address.ts'

const url = 'https://there.example:8443/'

describe('the address of another server', () => {
  test('has no path, and is trusted by authorities unless told otherwise', () => {
    expect(remoteAddress({ url: `${url}some/path?a=b` })).toEqual({
      url: new URL('https://there.example:8443'),
      trust: { kind: 'authorities', authorities: undefined },
    })
    expect(remoteAddress({ url }, 'PEM').trust).toEqual({ kind: 'authorities', authorities: 'PEM' })
    expect(remoteAddress({ url, verify: 'false' }).trust).toEqual({ kind: 'unchecked' })
    expect(remoteAddress({ url: 'http://a', plain: 'true' }).trust).toEqual({
      kind: 'plain',
      mayLeaveMachine: true,
    })
    const fingerprint = Array.from({ length: 32 }, () => 'AB').join(':')
    expect(remoteAddress({ url, fingerprint }, 'PEM').trust).toEqual({
      kind: 'fingerprint',
      sha256: 'ab'.repeat(32),
    })
  })

  test.each([
    [{ url: 'there.example' }, 'master'],
    [{ url: 'ftp://there.example' }, 'master'],
    [{ url: 'https://root:pw@there.example' }, 'master'],
    [{ url, fingerprint: 'abc' }, 'fingerprint'],
    [{ url, fingerprint: 'ab'.repeat(32), verify: 'false' }, 'verify'],
    [{ url: 'http://there.example', fingerprint: 'ab'.repeat(32) }, 'fingerprint'],
    [{ url, verify: 'no' }, 'verify'],
    [{ url: 'http://a', plain: 'yes' }, 'plain'],
  ])('%o is refused by the name of what is wrong', (asked, name) => {
    expect(() => remoteAddress(asked)).toThrow(
      expect.objectContaining({ code: 'INVALID_VALUE', params: [name, expect.any(String)] }),
    )
    expect(() => remoteAddress(asked)).not.toThrow(/:pw/)
  })
})
