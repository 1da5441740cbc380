// RFC 9110, section 12.5.3, and which headers are meant.

import { describe, expect, test } from 'vitest'
import { chooseCoding } from '../../../routes/content-coding.ts'

const choose = (header: string | undefined, more: object = {}) =>
  chooseCoding({ header, isMeant: false, prefersIdentity: false, ...more })

describe('a header that is meant', () => {
  test.each([
    ['zstd', 'zstd'],
    ['gzip', 'gzip'],
    ['x-gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['gzip, zstd', 'zstd'],
    ['gzip;q=1.0, zstd;q=0.9', 'gzip'],
    ['gzip;q=0.5,zstd;q=0.5', 'zstd'],
    ['gzip ; q=0.001', 'gzip'],
    ['deflate, gzip, br, zstd', 'zstd'],
    ['br, deflate', undefined],
    ['gzip;q=0', undefined],
    ['gzip;q=0, zstd;q=0.000', undefined],
    ['', undefined],
    [undefined, undefined],
    ['identity', undefined],
    ['*', undefined],
    ['identity, gzip', 'gzip'],
    ['identity;q=1, gzip;q=0.5', undefined],
    ['identity;q=0.5, gzip;q=1', 'gzip'],
    ['*;q=0.5, gzip;q=0.4', undefined],
    ['zstd;q=0, *;q=1, identity;q=0.5', 'gzip'],
    ['identity;q=0, *', 'zstd'],
    ['*;q=0, gzip', 'gzip'],
    ['gzip;q=2', undefined],
    ['gzip;q=0.1234', undefined],
    ['gzip;level=9, zstd', 'zstd'],
    ['gzip, gzip;q=0', 'gzip'],
  ])('%s: %s', (header, coding) => {
    expect(choose(header, { isMeant: true })).toBe(coding)
  })
})

describe('without a word that it is meant', () => {
  test.each([
    // curl --compressed, browsers, requests, fetch of Node, Go and OkHttp, Ruby, axios.
    ['deflate, gzip, br, zstd', undefined],
    ['gzip, deflate, br, zstd', undefined],
    ['gzip, deflate', undefined],
    ['br, gzip, deflate', undefined],
    ['gzip', undefined],
    ['gzip;q=1.0,deflate;q=0.6,identity;q=0.3', undefined],
    ['gzip, compress, deflate, br', undefined],
    ['zstd', undefined],
    ['*', undefined],
    // Who says what to think of identity has thought of it.
    ['zstd, identity;q=0.5', 'zstd'],
    ['gzip, *;q=0.1', 'gzip'],
    ['zstd, gzip, identity;q=0', 'zstd'],
    // Not acceptable is not acceptable, whoever says it.
    ['gzip, deflate, identity;q=0', 'gzip'],
    ['br, gzip;q=0.1, *;q=0', 'gzip'],
  ])('%s: %s', (header, coding) => {
    expect(choose(header)).toBe(coding)
  })
})

test('a part comes as it is, unless that is not acceptable', () => {
  const part = { isMeant: true, prefersIdentity: true }
  expect(choose('zstd', part)).toBeUndefined()
  expect(choose('zstd, identity;q=0', part)).toBe('zstd')
})

test('406 only where nothing that is acceptable remains', () => {
  const refused = { status: 406, params: ['Accept-Encoding', expect.anything()] }
  for (const header of ['identity;q=0', '*;q=0', 'br, identity;q=0', 'gzip;q=0, zstd;q=0, *;q=0']) {
    expect(() => choose(header)).toThrow(expect.objectContaining(refused) as Error)
  }
  const compressed = { isMeant: true, onlyIdentity: 'the image is compressed already' }
  expect(choose('zstd', compressed)).toBeUndefined()
  expect(() => choose('zstd, identity;q=0', compressed)).toThrow('compressed already')
})
