// Unit tests stand where their sources do: `a/b.test.ts` tests `a/b.ts`, and so does
// `a/b.aspect.test.ts`.

import { expect, test } from 'vitest'
import { sourceFiles } from './support/source-files.ts'

test('each unit test is named after the source that it tests', () => {
  const sources = new Set(sourceFiles('src', 'routes'))
  const lost = sourceFiles('test/unit').filter((file) => {
    const path = file.replace('test/unit/', '').replace(/(?:\.[a-z0-9-]+)?\.test\.ts$/, '.ts')
    return !sources.has(path.startsWith('routes/') ? path : `src/${path}`)
  })
  expect(lost).toEqual([])
})
