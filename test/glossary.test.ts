// One word for one thing: no exported name holds a word that the glossary of ARCHITECTURE.md gives
// up for another.

import { expect, test } from 'vitest'
import { readMarkdown } from './support/markdown.ts'
import { readSource, sourceFiles } from './support/source-files.ts'

/** By the word that is not used: the one that is. A note in brackets is no word. */
const readGlossary = (): Map<string, string> => {
  const [, glossary = ''] = readMarkdown('ARCHITECTURE.md').split('\n## Glossary\n')
  const rows = [...glossary.matchAll(/^\| ([^|]+?) +\| [^|]+ \| *([^|]*?) *\|$/gm)].slice(2)
  return new Map(
    rows.flatMap(([, word = '', not = '']) =>
      not
        .replaceAll(/\([^)]*\)/g, '')
        .split(', ')
        .map((other) => other.trim())
        .filter((other) => other !== '')
        .map((other) => [other, word] as const),
    ),
  )
}

/** `copyVdi` is `copy vdi`. */
const wordsOf = (name: string): string =>
  ` ${name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .replaceAll('_', ' ')} `

test('no exported name holds a second word for a thing', () => {
  const glossary = readGlossary()
  expect(glossary.size).toBeGreaterThan(20)
  const wrong = sourceFiles('src', 'routes').flatMap((file) =>
    [
      ...readSource(file).matchAll(
        /^export (?:async )?(?:const|function\*?|class|interface|type) (\w+)/gm,
      ),
    ].flatMap(([, name = '']) =>
      [...glossary]
        .filter(([other]) => wordsOf(name).includes(` ${other} `))
        .map(([other, word]) => `${file} exports ${name}: "${other}" is "${word}"`),
    ),
  )
  expect(wrong).toEqual([])
})
