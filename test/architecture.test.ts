// Holds what ARCHITECTURE.md says: which layer may import which, what each folder is for, and that
// no file grows until it holds two things.

import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')

const filesBelow = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))

const sources = [...filesBelow('src'), ...filesBelow('routes')]
const tests = filesBelow('test')

/**
 * Rows of the table in ARCHITECTURE.md: layers, the order of their folders (`a ← b`: b imports a),
 * what they may import.
 */
const rows = Array.from(
  readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8').matchAll(
    /^\| ((?:`(?:src\/[a-z-]+|routes)`(?:, )?)+) +\| ([^|]+) \| ([^|]+?) +\|$/gm,
  ),
  ([, layers, what, imports]) => ({
    layers: Array.from(layers!.matchAll(/`([^`]+)`/g), (match) => match[1]!),
    order: (/(?:[a-z]+ ← )+[a-z]+/.exec(what!)?.[0] ?? '').split(' ← ').filter(Boolean),
    imports: imports === '–' ? [] : imports!.split(', '),
  }),
)

/** What each layer may import beside itself: whole layers, or single files of them; `*` for all. */
const allowed = new Map<string, readonly string[]>()
for (const { layers, imports } of rows) {
  const may = imports.flatMap((words) => {
    if (words === 'all') return ['*']
    const [, name, andBelow] = /^([a-z/-]+)( and below)?$/.exec(words) ?? []
    const layer = `src/${name}`
    return andBelow === undefined ? [layer] : [layer, ...allowed.get(layer)!]
  })
  for (const layer of layers) allowed.set(layer, may)
}

/**
 * The layer of a file: `src/disk` for src/disk/disk.ts, `src/errors` for src/errors.ts, `routes`
 * for all of routes.
 */
const layerOf = (file: string): string => {
  const parts = file.replace(/\.ts$/, '').split('/')
  return parts[0] === 'src' ? parts.slice(0, 2).join('/') : parts[0]!
}

const importsOf = (file: string): string[] =>
  [
    ...readFileSync(join(root, file), 'utf8').matchAll(
      /^(?:import|export)[^'"]*?from '([^']+)'/gms,
    ),
  ].map((match) => match[1]!)

const targetOf = (file: string, specifier: string): string =>
  relative(root, resolve(root, dirname(file), specifier))

/** `copyVdi` for src/operations/copy-vdi.ts. */
const camelCase = (file: string): string =>
  basename(file, '.ts').replace(/-(\w)/g, (_match, letter: string) => letter.toUpperCase())

describe('architecture', () => {
  test('imports go one way', () => {
    const wrong = sources.flatMap((file) => {
      const layer = layerOf(file)
      const may = allowed.get(layer)
      if (may === undefined) return [`${file}: the layer ${layer} is not in the table`]
      if (may.includes('*')) return []
      return importsOf(file)
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => targetOf(file, specifier))
        .filter((target) => ![layer, ...may].includes(layerOf(target)))
        .filter((target) => !may.includes(target.replace(/\.ts$/, '')))
        .map((target) => `${file} imports ${target}`)
    })
    expect(wrong).toEqual([])
  })

  test('the folders of a layer import each other in one direction', () => {
    const orders = rows.filter(({ order }) => order.length > 0)
    expect(orders.map(({ layers }) => layers)).toEqual([['src/store'], ['src/xenapi']])
    const wrong = orders.flatMap(({ layers: [layer], order }) => {
      const rankOf = (file: string): number => order.indexOf(relative(layer!, file).split('/')[0]!)
      return sources
        .filter((file) => layerOf(file) === layer && dirname(file) !== layer)
        .flatMap((file) => {
          if (rankOf(file) < 0) return [`${file} is in a folder that the table does not order`]
          return importsOf(file)
            .filter((specifier) => specifier.startsWith('.'))
            .map((specifier) => targetOf(file, specifier))
            .filter((target) => layerOf(target) === layer && rankOf(target) > rankOf(file))
            .map((target) => `${file} imports ${target}`)
        })
    })
    expect(wrong).toEqual([])
  })

  test('a file of src/operations is one use case, and no use case imports another', () => {
    const folder = 'src/operations/'
    const isUseCase = (file: string): boolean =>
      dirname(file) === 'src/operations' && file !== `${folder}context.ts`
    const wrong = sources
      .filter((file) => file.startsWith(folder))
      .flatMap((file) => {
        const imported = importsOf(file)
          .filter((specifier) => specifier.startsWith('.'))
          .map((specifier) => targetOf(file, specifier))
          .filter(isUseCase)
          .map((target) => `${file} imports ${target}`)
        const exported = [
          ...readFileSync(join(root, file), 'utf8').matchAll(/^export (?:const|function) (\w+)/gm),
        ].map((match) => match[1]!)
        const others = exported.filter((name) => isUseCase(file) && name !== camelCase(file))
        return [...imported, ...others.map((name) => `${file} exports ${name}`)]
      })
    expect(wrong).toEqual([])
  })

  test('no layer may import what it does not need', () => {
    const needless = rows.flatMap(({ layers, imports }) => {
      const targets = sources
        .filter((file) => layers.includes(layerOf(file)))
        .flatMap((file) =>
          importsOf(file)
            .filter((specifier) => specifier.startsWith('.'))
            .map((specifier) => targetOf(file, specifier).replace(/\.ts$/, '')),
        )
      return imports
        .map((words) => `src/${words.replace(' and below', '')}`)
        .filter((name) => name !== 'src/all')
        .filter((name) => !targets.some((target) => `${target}/`.startsWith(`${name}/`)))
        .map((name) => `${layers.join(', ')} may import ${name}`)
    })
    expect(needless).toEqual([])
  })

  test.each([
    ['hono', /^(?:hono|@hono\/)/, /^routes\//],
    ['SQL', /^(?:kysely|node:sqlite)/, /^src\/catalog\//],
    ['the XML and JSON of block maps', /^stream-json/, /^src\/disk\/block-map-json\.ts$/],
    ['XML', /^saxes/, /^src\/(?:xenapi\/wire\/xml-tokens|archives\/xml)\.ts$/],
    ['native calls', /^koffi/, /^src\/image\//],
  ])('%s is imported in one place only', (_name, specifiers, place) => {
    const wrong = sources.filter(
      (file) =>
        !place.test(file) && importsOf(file).some((specifier) => specifiers.test(specifier)),
    )
    expect(wrong).toEqual([])
  })

  test('the errors of VDIs and storage repositories are made in one place', () => {
    const codes = [
      'OTHER_OPERATION_IN_PROGRESS',
      'SR_NOT_ATTACHED',
      'SR_NOT_EMPTY',
      'SR_OPERATION_NOT_SUPPORTED',
      'VDI_INCOMPATIBLE_TYPE',
      'VDI_IN_USE',
      'VDI_READONLY',
      'VDI_TOO_LARGE',
      'VDI_TOO_SMALL',
    ]
    const made = new RegExp(`new AppError\\(\\s*'(?:${codes.join('|')})'`)
    const places = sources.filter((file) => made.test(readFileSync(join(root, file), 'utf8')))
    expect(places).toEqual(['src/object-errors.ts'])
  })

  test('no source file is longer than 300 lines', () => {
    const long = [...sources, ...tests, ...filesBelow('bench')]
      .map((file) => ({ file, lines: readFileSync(join(root, file), 'utf8').split('\n').length }))
      .filter(({ file, lines }) => lines > (file.startsWith('test') ? 600 : 300))
    expect(long).toEqual([])
  })

  test('each source file opens with a comment that says what it is', () => {
    const bare = sources.filter(
      (file) => !/^(#!.*\n)?\/\//.test(readFileSync(join(root, file), 'utf8')),
    )
    expect(bare).toEqual([])
  })

  test('file names are kebab-case, and no folder is a drawer for odds and ends', () => {
    const odd = [...sources, ...tests].filter((file) => {
      const name = file.split('/').at(-1)!
      if (file.includes('/migrations/')) return !/^[0-9a-z-]+\.ts$/.test(name)
      return (
        !/^[a-z0-9]+(-[a-z0-9]+)*((\.[a-z0-9-]+)?\.test)?\.ts$/.test(name) ||
        /(^|\/)(utils?|misc|helpers?|common|index)(\.ts|\/)/.test(file)
      )
    })
    expect(odd).toEqual([])
  })
})
