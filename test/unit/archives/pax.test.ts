// The records of pax headers, right and damaged.

import { describe, expect, test } from 'vitest'
import { parsePax } from '../../../src/archives/pax.ts'

const record = (key: string, value: string): string => {
  const rest = ` ${key}=${value}\n`
  let length = Buffer.byteLength(rest)
  while (String(length).length + Buffer.byteLength(rest) !== length) length += 1
  return `${length}${rest}`
}

const parse = (text: string) => parsePax(Buffer.from(text), 'Cannot read')

describe('pax records', () => {
  test('give an entry its name and size; others say nothing of the content', () => {
    const text =
      record('mtime', '1.5') + record('path', 'ü/disk=1.vmdk') + record('size', '9000000000')
    expect(parse(text)).toEqual({ path: 'ü/disk=1.vmdk', size: 9_000_000_000 })
    expect(parse('')).toEqual({})
    expect(parse(record('path', 'a\nb'))).toEqual({ path: 'a\nb' })
  })

  test.each([
    ['no length', 'path=x\n'],
    ['a length of 0', '0 path=x\n'],
    ['a length past the end', '99 path=x\n'],
    ['a length that ends too early', '7 path=x\n'],
    ['no equals sign', '8 pathx\n'],
    ['no line end', '9 path=x '],
    ['a second record cut', `${record('path', 'x')}20 path=y\n`],
  ])('%s is damage', (_name, text) => {
    expect(() => parse(text)).toThrow(/^Cannot read: a pax header is damaged at its byte \d+/)
  })

  test('a size that is no number, and sparse files, are refused', () => {
    expect(() => parse(record('size', '1e3'))).toThrow('gives an entry the size "1e3"')
    expect(() => parse(record('GNU.sparse.major', '1'))).toThrow('sparse file of GNU tar')
  })
})
