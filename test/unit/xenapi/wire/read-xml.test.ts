// XML that anybody may send: its bounds, and that no form of it costs more than it weighs.

import { describe, expect, it } from 'vitest'
import { readXml } from '../../../../src/xenapi/wire/read-xml.ts'
import { countSteps } from '../../../support/count-steps.ts'

const KiB = 1024

/** `piece` again and again, up to a length. */
const many = (piece: string, length: number): string =>
  piece.repeat(Math.max(1, Math.floor(length / piece.length)))

/** Texts of any length, by what they are full of. */
const forms: Readonly<Record<string, (length: number) => string>> = {
  'comments with blanks between them, before the root': (length) =>
    `${many('<!--x--> ', length)}<a/>`,
  'comments with blanks between them, after the root': (length) =>
    `<a/>${many('<!--x--> ', length)}`,
  'comments with blanks between them, in the root': (length) =>
    `<a>${many('<!--x--> ', length)}</a>`,
  'blanks before the root': (length) => `${many(' ', length)}<a/>`,
  'lines of instructions': (length) => `${many('<?a b?>\n', length)}<a/>`,
  'one comment of hyphens and blanks': (length) => `<!--${many('- ', length)}--><a/>`,
  'one instruction of question marks': (length) => `<?a ${many('? ', length)}?><a/>`,
  'one attribute': (length) => `<a b="${many('x', length)}"/>`,
  'one attribute of entities': (length) => `<a b="${many('&lt;', length)}"/>`,
  'one name': (length) => `<${many('a', length)}/>`,
  'one text': (length) => `<a>${many('x', length)}</a>`,
  'one text of blanks': (length) => `<a>${many(' ', length)}</a>`,
  'one text of line ends': (length) => `<a>${many('\r\n', length)}</a>`,
  'one text of entities': (length) => `<a>${many('&#x41;', length)}</a>`,
  'one text of pairs of surrogates': (length) => `<a>${many('\u{1f4be}', length)}</a>`,
  'one text in sections': (length) => `<a>${many('<![CDATA[x]]>', length)}</a>`,
  'one section of brackets': (length) => `<a><![CDATA[${many('] ', length)}]]></a>`,
  'text between comments': (length) => `<a>${many('x<!---->', length)}</a>`,
  'elements beside each other': (length) => `<a>${many(`<b>${'x'.repeat(60)}</b>`, length)}</a>`,
  'elements in elements, 60 deep': (length) =>
    `<a>${many('<b>'.repeat(60) + 'x'.repeat(900) + '</b>'.repeat(60), length)}</a>`,
  'elements with attributes': (length) =>
    `<a>${many('<b c="d" e="f" g="h" i="jklmnopqrstuvwxyz"/>', length)}</a>`,
  'one tag without an end': (length) => `<a ${many(' ', length)}`,
  'one comment without an end': (length) => `<!--${many('-x', length)}`,
  'one section without an end': (length) => `<a><![CDATA[${many(']', length)}`,
  'one reference without an end': (length) => `<a>&${many('x', length)}`,
  'one number without an end': (length) => `<a>&#${many('1', length)};`,
  'one document type': (length) => `<!DOCTYPE a [${many('<!ENTITY b "c">', length)}`,
  'tags that are never closed': (length) => many('<a>', length),
  'opening brackets': (length) => many('<', length),
  'closing tags': (length) => `<a>${many('</b>', length)}`,
}

const costOf = (text: string): Promise<number> => countSteps(() => readXml(text).catch(() => {}))

describe('a text of twice the length takes twice the steps at most', () => {
  it.each(Object.keys(forms))('%s', async (name) => {
    const form = forms[name]!
    const costs: number[] = []
    for (const length of [8 * KiB, 16 * KiB, 32 * KiB, 64 * KiB]) {
      costs.push((await costOf(form(length))) + 1)
    }
    // Each character is looked at a few times; the square of 64 KiB is ten thousand times as much.
    expect(costs.at(-1)).toBeLessThan(64 * KiB * 16)
    for (const [index, cost] of costs.slice(1).entries()) {
      expect(cost).toBeLessThan(costs[index]! * 2.2 + 512)
    }
  })
})

describe('a text of a megabyte', () => {
  it.each(Object.keys(forms))('is read or refused: %s', async (name) => {
    const text = forms[name]!(1024 * KiB - 8 * KiB)
    const outcome = await readXml(text).then(
      () => 'read',
      (error: Error) => `refused: ${error.message}`,
    )
    // A message never quotes more than the name of an element.
    expect(outcome.length).toBeLessThan(120)
    expect(outcome).toMatch(/^(?:read|refused: (?:its?|an?|the) .*)$/)
  })

  it('gives way to what else the server does', async () => {
    let turns = 0
    let isOver = false
    const count = (): void => {
      turns += 1
      if (!isOver) setImmediate(count)
    }
    setImmediate(count)
    await readXml(`<a>${'x'.repeat(1000 * KiB)}</a>`)
    isOver = true
    expect(turns).toBeGreaterThanOrEqual(60)
  })

  it('is not read to its end for a client that has left', async () => {
    const client = new AbortController()
    const reading = readXml(`<a>${'x'.repeat(1000 * KiB)}</a>`, client.signal)
    client.abort()
    await expect(reading).rejects.toThrow('the client has left')
  })

  it('does not hold up a short one', async () => {
    const order: string[] = []
    const long = readXml(`<a>${'x'.repeat(1000 * KiB)}</a>`).then(() => order.push('long'))
    await readXml('<a/>').then(() => order.push('short'))
    await long
    expect(order).toEqual(['short', 'long'])
  })

  it('waits for one of another network, however many of these wait', async () => {
    const order: string[] = []
    const read = (network: string): Promise<number> =>
      readXml(`<a>${'x'.repeat(40 * KiB)}</a>`, undefined, network).then(() => order.push(network))
    await Promise.all([...['a', 'a', 'a', 'a', 'a'].map(read), read('b')])
    expect(order).toEqual(['a', 'a', 'b', 'a', 'a', 'a'])
  })
})

describe('bounds', () => {
  const nested = (depth: number): string => `${'<a>'.repeat(depth)}${'</a>'.repeat(depth)}`
  const beside = (count: number): string => `<a>${'<b/>'.repeat(count - 1)}</a>`
  const attributes = (count: number): string =>
    `<a ${Array.from({ length: count }, (_, index) => `b${index}=""`).join(' ')}/>`

  it.each([
    ['64 elements deep', nested(64), nested(65), 'its elements are nested deeper than 64'],
    ['20000 elements', beside(20_000), beside(20_001), 'it has more than 20000 elements'],
    [
      '16 attributes of an element',
      attributes(16),
      attributes(17),
      'an element with more than 16 attributes at character',
    ],
    [
      '1 MiB',
      `<a>${'x'.repeat(1024 * KiB - 7)}</a>`,
      `<a>${'x'.repeat(1024 * KiB - 6)}</a>`,
      'it is longer than 1048576 characters',
    ],
  ])('%s, and no more', async (_, allowed, refused, reason) => {
    expect((await readXml(allowed)).length).toBeGreaterThan(1)
    await expect(readXml(refused)).rejects.toThrow(reason)
  })

  it('a refusal comes with the first character too many, not at the end', async () => {
    const text = `${'<a>'.repeat(65)}${' '.repeat(500 * KiB)}`
    expect(await costOf(text)).toBeLessThan(text.length + 32 * KiB)
  })
})
