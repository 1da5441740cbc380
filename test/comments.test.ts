// What the comments of all source files must keep. Prettier wraps the code and the Markdown.

import { expect, test } from 'vitest'
import { readSource, sourceFiles } from './support/source-files.ts'

test('comments wrap at 100 columns', () => {
  const long = sourceFiles('src', 'routes', 'test', 'bench', 'fixtures').flatMap((file) =>
    readSource(file)
      .split('\n')
      .flatMap((line, index) =>
        line.length > 100 && /^\s*(?:\/\/|\/?\*)/.test(line) ? [`${file}:${index + 1}`] : [],
      ),
  )
  expect(long).toEqual([])
})
