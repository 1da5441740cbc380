// The files that documentation and comments name are there: a moved file leaves no sign behind.

import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { markdownFiles, readMarkdown } from './support/markdown.ts'
import { readSource, root, sourceFiles } from './support/source-files.ts'

const sources = sourceFiles('src', 'routes', 'test', 'bench', 'fixtures')
const names = new Set(sources.map((file) => basename(file)))

/** The comments of a file, one text; strings that look like one do no harm. */
const commentsOf = (file: string): string =>
  (readSource(file).match(/\/\*[\s\S]*?\*\/|(?<=^\s*|\s)\/\/.*$/gm) ?? []).join('\n')

const wrongIn = (text: string): string[] => {
  const paths = text.match(/\b(?:src|routes|test|bench|bin|docs|fixtures)\/[\w./<>*-]+\.\w+/g) ?? []
  const bare = text.match(/(?<![\w./<>*-])[a-z0-9-]+\.ts\b/g) ?? []
  return [
    ...paths.filter((path) => !/[<>*]/.test(path) && !existsSync(join(root, path))),
    ...bare.filter((name) => !names.has(name)),
  ]
}

test('the files that are named in Markdown are there', () => {
  // What the changelog tells of may have gone since.
  const files = markdownFiles().filter((file) => file !== 'CHANGELOG.md')
  const wrong = files.flatMap((file) =>
    wrongIn(readMarkdown(file)).map((name) => `${file} names ${name}`),
  )
  expect(wrong).toEqual([])
})

test('the files that are named in comments are there', () => {
  const wrong = sources.flatMap((file) =>
    wrongIn(commentsOf(file)).map((name) => `${file} names ${name}`),
  )
  expect(wrong).toEqual([])
})
