import { describe, expect, test } from 'vitest'
import type { ChainFile } from '../../../../src/store/scanning/file-chains.ts'
import { resolveChains } from '../../../../src/store/scanning/file-chains.ts'

const on = (name: string, more: Partial<ChainFile> = {}): ChainFile => ({
  format: 'qcow2',
  parent: { names: [name] },
  ...more,
})
const whole: ChainFile = { format: 'qcow2' }

const resolve = (files: Record<string, ChainFile>, broken: Record<string, string> = {}) =>
  Object.fromEntries(
    Array.from(
      resolveChains(new Map(Object.entries(files)), new Map(Object.entries(broken))),
      ([name, chain]) => [
        name,
        chain.kind === 'broken'
          ? chain.reason
          : chain.kind === 'on'
            ? `on ${chain.parentName}`
            : '',
      ],
    ),
  )

describe('chains of files', () => {
  test('a parent is found by its plain name, or one with ./ before it', () => {
    const files = {
      base: whole,
      a: on('base'),
      b: on('./base'),
      c: on('.\\base'),
      d: on('file://./base'),
      e: on('a'),
    }
    const same = 'on base'
    expect(resolve(files)).toEqual({ base: '', a: same, b: same, c: same, d: same, e: 'on a' })
  })

  test.each([
    '/var/run/sr-mount/0f1e2d3c/base',
    'file:///var/run/sr-mount/0f1e2d3c/base',
    '../base',
    './sub/base',
    './../base',
    'sub/base',
    'sub\\base',
    'C:\\disks\\base',
  ])('of the path %j only the file name counts', (name) => {
    expect(resolve({ base: whole, leaf: on(name) })).toMatchObject({ leaf: 'on base' })
    const { leaf } = resolve({ other: whole, leaf: on(name) })
    expect(leaf).toBe(
      `its parent is called ${JSON.stringify(name)}, and base is not among the images of this folder`,
    )
  })

  test.each([
    'file:base/',
    'json:{"driver":"raw","file.filename":"/etc/passwd"}',
    'json:{"driver":"raw","file.filename":"/base',
    'nbd://host/base',
    'http:base',
    'rbd:pool/base',
    '.',
    '..',
    '/base/..',
    '',
    'ba\0se',
    '/ba\0se',
  ])('%j names no file of the folder', (name) => {
    const { leaf } = resolve({ base: whole, passwd: whole, leaf: on(name) })
    expect(leaf).toMatch(/^its parent is called ".*"; only a file of the same folder/s)
  })

  test('a plain name goes before a path', () => {
    const leaf = { format: 'vhd', parent: { names: ['/etc/passwd', './base'] } } as const
    expect(resolve({ base: whole, passwd: whole, leaf })).toMatchObject({ leaf: 'on base' })
  })

  test('a path that ends in the file itself is a circle', () => {
    expect(resolve({ leaf: on('/elsewhere/leaf') })).toMatchObject({
      leaf: 'its parents go round in a circle: leaf → leaf',
    })
  })

  test('a parent that is missing breaks all above it, and nothing else', () => {
    const found = resolve({ a: on('gone'), b: on('a'), c: on('b'), other: whole, d: on('other') })
    expect(found['a']).toBe('its parent "gone" is not among the images of this folder')
    expect(found['b']).toBe(`its parent a cannot be used: ${found['a']}`)
    expect(found['c']).toContain('its parent b cannot be used')
    expect([found['other'], found['d']]).toEqual(['', 'on other'])
  })

  test('a parent that cannot be read is named with the reason', () => {
    const found = resolve({ a: on('bad') }, { bad: 'it is garbage' })
    expect(found['a']).toBe('its parent bad cannot be used: it is garbage')
  })

  test('circles are found, with those who lie on them', () => {
    const found = resolve({ a: on('b'), b: on('c'), c: on('b'), d: on('d'), other: whole })
    expect(found['b']).toBe('its parents go round in a circle: b → c → b')
    expect(found['c']).toBe(found['b'])
    expect(found['a']).toContain('its parent b cannot be used: its parents go round')
    expect(found['d']).toBe('its parents go round in a circle: d → d')
    expect(found['other']).toBe('')
  })

  test('64 layers are a chain, 65 are not', () => {
    const files: Record<string, ChainFile> = { f1: whole }
    for (let depth = 2; depth <= 66; depth += 1) files[`f${depth}`] = on(`f${depth - 1}`)
    const found = resolve(Object.fromEntries(Object.entries(files).toReversed()))
    expect(found['f64']).toBe('on f63')
    expect(found['f65']).toBe('it lies on more than 63 others')
    expect(found['f66']).toContain('its parent f65 cannot be used')
  })

  test('a parent of another format or id than the image says is not taken', () => {
    const parent = { names: ['base'] }
    const raw: ChainFile = { format: 'qcow2', parent: { ...parent, format: 'raw' } }
    const other: ChainFile = { format: 'qcow2', parent: { ...parent, format: 'unknown' } }
    expect(resolve({ base: whole, raw, other })).toMatchObject({
      raw: 'it takes its parent base for raw, which is qcow2',
      other: 'it takes its parent base for unknown, which is qcow2',
    })
    const base: ChainFile = { format: 'vhd', imageUuid: 'aaa' }
    const right: ChainFile = { format: 'vhd', parent: { ...parent, uuid: 'aaa' } }
    const wrong: ChainFile = { format: 'vhd', parent: { ...parent, uuid: 'bbb' } }
    expect(resolve({ base, right, wrong })).toMatchObject({
      right: 'on base',
      wrong: 'it lies on the image bbb, its parent base is aaa',
    })
  })
})
