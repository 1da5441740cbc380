// XML read whole: names and attributes without prefixes, and what it does not take.

import { describe, expect, test } from 'vitest'
import { childOf, childrenOf, readXml, textOf } from '../../../src/archives/xml.ts'

async function* chunksOf(text: string | Uint8Array, length = 7) {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

const read = (text: string | Uint8Array, length?: number) =>
  readXml(chunksOf(text, length), 'Cannot read')

describe('a document', () => {
  test('is elements with their texts, whatever their prefixes', async () => {
    const root = await read(
      '<?xml version="1.0"?><a:r xmlns:a="urn:a" xmlns="urn:b"><x a:k="v" l="w">é &lt;<![CDATA[&]]></x><!-- c --><x/><y> </y></a:r>',
    )
    expect(root.name).toBe('r')
    const [x, second] = childrenOf(root, 'x')
    expect(x?.attributes).toEqual([
      { name: 'k', uri: 'urn:a', value: 'v' },
      { name: 'l', uri: '', value: 'w' },
    ])
    expect(textOf(root, 'x')).toBe('é <&')
    expect(second?.children).toEqual([])
    expect(textOf(root, 'y')).toBeUndefined()
    expect(childOf(root, 'z')).toBeUndefined()
    expect(childOf(undefined, 'z')).toBeUndefined()
  })

  test.each([
    ['a document type', '<!DOCTYPE r><r/>', 'document type'],
    ['an entity', '<r>&boom;</r>', 'undefined entity'],
    ['a tag that stays open', '<r><a></r>', 'unexpected close tag'],
    ['the end too early', '<r><a>', 'unclosed tag'],
    ['nothing', '', 'document must contain a root element'],
    ['no namespace for a prefix', '<a:r/>', 'unbound namespace prefix'],
    ['deep nesting', '<a>'.repeat(65), 'nested deeper than 64'],
    ['many elements', `<r>${'<a/>'.repeat(500_000)}</r>`, 'more than 500000 elements'],
    [
      'many attributes',
      `<r ${Array.from({ length: 65 }, (_, index) => `a${index}="1"`).join(' ')}/>`,
      'more than 64 attributes',
    ],
    ['too much', `<r>${' '.repeat((16 << 20) + 1)}</r>`, 'more than 16777216 bytes'],
  ])('with %s is refused', async (_name, text, message) => {
    await expect(read(text, 1 << 20)).rejects.toThrow(message)
  })

  test('in another encoding is refused', async () => {
    await expect(read(Buffer.from('<r>\xe9</r>', 'latin1'))).rejects.toThrow('not in UTF-8')
    await expect(read(Buffer.from('<r>\xc3', 'latin1'))).rejects.toThrow('not in UTF-8')
  })
})
