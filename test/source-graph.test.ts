// What the imports of all source files together must keep: no circle, and no export that nobody
// imports.

import { describe, expect, test } from 'vitest'
import { importsBetween, readSource, sourceFiles } from './support/source-files.ts'

const sources = sourceFiles('src', 'routes')
const others = sourceFiles('test', 'bench')

/** What is exported for whoever comes after us, as an example to follow; tests use it. */
const examples = new Set(['src/store/files/memory-folder.ts#createMemoryFolder'])

/** Groups of files that import each other, by Tarjan's algorithm. */
const circlesOf = (files: readonly string[]): string[][] => {
  const targets = new Map(
    files.map((file) => [file, importsBetween(file).map((found) => found.target)]),
  )
  const indexes = new Map<string, number>()
  const lowest = new Map<string, number>()
  const open: string[] = []
  const circles: string[][] = []
  const visit = (file: string): number => {
    const index = indexes.size
    indexes.set(file, index)
    open.push(file)
    let low = index
    for (const target of targets.get(file) ?? []) {
      if (!indexes.has(target)) low = Math.min(low, visit(target))
      else if (open.includes(target)) low = Math.min(low, lowest.get(target) ?? index)
      else continue
    }
    lowest.set(file, low)
    if (low === index) {
      const circle = open.splice(open.indexOf(file))
      if (circle.length > 1) circles.push(circle)
    }
    return low
  }
  for (const file of files) if (!indexes.has(file)) visit(file)
  return circles
}

const namesOf = (files: readonly string[]): Set<string> =>
  new Set(
    files.flatMap((file) =>
      importsBetween(file).flatMap(({ target, names }) => names.map((name) => `${target}#${name}`)),
    ),
  )

describe('source files', () => {
  test('do not import each other in a circle, types included', () => {
    expect(circlesOf(sources)).toEqual([])
  })

  test('export nothing that no other file imports', () => {
    const used = namesOf(sources)
    const tested = namesOf(others)
    const needless = sources.flatMap((file) => {
      const text = readSource(file)
      const exported = text.matchAll(
        /^export (?:async )?(?:const|function\*?|class|interface|type|let) (\w+)/gm,
      )
      return [...exported].flatMap(([, name]) => {
        const key = `${file}#${name}`
        if (used.has(key) || used.has(`${file}#*`) || examples.has(key)) return []
        if (!tested.has(key)) return [`${key}: nobody imports it`]
        const uses = text.match(new RegExp(`\\b${name}\\b`, 'g'))?.length ?? 0
        return uses > 1 ? [] : [`${key}: only tests use it`]
      })
    })
    expect(needless).toEqual([])
  })
})
