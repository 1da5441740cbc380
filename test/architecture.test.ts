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

/** What everybody may import. */
const errors = ['src/errors', 'src/object-errors', 'src/refs']

const formats = [...errors, 'src/units', 'src/format-table', 'src/disk', 'src/image']

const below = { formats, store: [...formats, 'src/formats', 'src/catalog'] }

/** What each layer may import beside itself: whole layers, or single files of them. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'src/errors': [],
  'src/units': [],
  'src/format-table': [],
  'src/refs': [],
  'src/object-errors': ['src/errors', 'src/refs'],
  'src/near-names': [],
  'src/redact': [],
  'src/log': ['src/redact'],
  'src/version': [],
  'src/config': ['src/log', 'src/config-values'],
  'src/config-values': [],
  'src/disk': ['src/errors', 'src/units'],
  'src/image': ['src/errors', 'src/units', 'src/disk'],
  'src/formats': below.formats,
  'src/catalog': [...errors, 'src/units', 'src/format-table'],
  'src/store': below.store,
  'src/transfer': [...below.store, 'src/log', 'src/store'],
  'src/operations': [...below.store, 'src/log', 'src/store', 'src/transfer'],
  'src/xenapi': [
    ...errors,
    'src/units',
    'src/redact',
    'src/disk',
    'src/catalog',
    'src/transfer/leases',
    'src/transfer/with-task',
    'src/operations',
  ],
  'src/cli': [
    ...errors,
    'src/units',
    'src/near-names',
    'src/log',
    'src/format-table',
    'src/disk',
    'src/catalog',
    'src/net',
  ],
  'src/net': ['src/errors', 'src/units', 'src/log'],
  routes: [
    ...errors,
    'src/units',
    'src/disk',
    'src/image',
    'src/catalog',
    'src/near-names',
    'src/log',
    'src/transfer/turns',
    'src/transfer/with-task',
    'src/operations',
    'src/xenapi',
    'src/net',
  ],
  'src/admin': ['src/errors', 'src/config', 'src/catalog', 'src/xenapi', 'src/cli'],
  'src/server': ['*'],
  'src/main': ['*'],
}

/** The layer of a file: `src/disk` for src/disk/disk.ts, `src/errors` for src/errors.ts, `routes` for all of routes. */
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
      const may = allowed[layer]
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

  test.each([
    ['hono', /^(?:hono|@hono\/)/, /^routes\//],
    ['SQL', /^(?:kysely|node:sqlite)/, /^src\/catalog\//],
    ['the XML and JSON of block maps', /^stream-json/, /^src\/disk\/block-map-json\.ts$/],
    ['XML', /^saxes/, /^src\/xenapi\/wire\/xml-tokens\.ts$/],
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
        !/^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/.test(name) ||
        /(^|\/)(utils?|misc|helpers?|common|index)(\.ts|\/)/.test(file)
      )
    })
    expect(odd).toEqual([])
  })

  test('each unit test mirrors a folder of src or is of routes', () => {
    const folders = new Set(sources.map((file) => dirname(file).replace(/^src\/?/, '')))
    const lost = filesBelow('test/unit')
      .map((file) => dirname(file).replace(/^test\/unit\/?/, ''))
      .filter((folder) => !folders.has(folder))
    expect(lost).toEqual([])
  })
})
