// Manifests: their digests against files that pass, before the manifest and after it.

import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createManifest } from '../../../../src/archives/ovf/manifest.ts'

const digest = (text: string, name: string): string => createHash(name).update(text).digest('hex')

async function* textOf(text: string) {
  yield Buffer.from(text.slice(0, 2))
  yield Buffer.from(text.slice(2))
}

const createPassing = () => {
  const manifest = createManifest()
  return {
    ...manifest,
    async pass(name: string, text: string): Promise<void> {
      let passed = ''
      for await (const chunk of manifest.hashed(name, textOf(text))) {
        passed += Buffer.from(chunk).toString()
      }
      expect(passed).toBe(text)
    },
  }
}

describe('a manifest', () => {
  test.each(['sha1', 'sha256', 'sha512'])('by %s, after the files or before them', async (name) => {
    const line = (file: string, text: string) =>
      `${name.toUpperCase()}(${file})= ${digest(text, name)}\r\n`
    const text = `${line('a b.ovf', 'one')}\n${line('d(1).vmdk', 'two')}`
    const after = createPassing()
    await after.pass('a b.ovf', 'one')
    await after.pass('d(1).vmdk', 'two')
    after.read(text)
    expect(after.verify()).toEqual([])
    const before = createPassing()
    before.read(text.replaceAll('SHA', 'sha'))
    await before.pass('a b.ovf', 'one')
    await expect(before.pass('d(1).vmdk', 'other')).rejects.toThrow('its manifest says')
  })

  test('names the files that it does not', async () => {
    const manifest = createPassing()
    await manifest.pass('a', 'one')
    expect(manifest.verify()).toEqual([])
    manifest.read(`SHA1(a)= ${digest('one', 'sha1')}`)
    await manifest.pass('b', 'two')
    expect(manifest.verify()).toEqual(['b'])
  })

  test.each([
    ['no digest', 'hello', 'line 1 of its manifest is no digest of a file'],
    ['an unknown one', 'MD5(a)= 00', 'the digest "MD5", SHA1, SHA256, SHA512 are known'],
    ['a short one', 'SHA1(a)= 00', 'has 2 digits, a SHA1 has 40'],
    ['a member of every object', 'constructor(a)= 00', 'the digest "constructor"'],
    [
      'a name twice',
      `SHA1(a)= ${'0'.repeat(40)}\nSHA1(a)= ${'0'.repeat(40)}`,
      'line 2 of its manifest names "a" again',
    ],
  ])('with %s is refused', (_name, text, message) => {
    expect(() => createManifest().read(text)).toThrow(message)
  })
})
