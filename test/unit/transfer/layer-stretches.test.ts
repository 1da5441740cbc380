// Which layers become one when a tree of layers is copied.

import { describe, expect, test } from 'vitest'
import type { LayerRow } from '../../../src/catalog/layers/layer-row.ts'
import { stretchesOf } from '../../../src/transfer/layer-stretches.ts'

/** A chain from its names, top first: `cba` is c on b on a. */
const chain = (names: string): LayerRow[] => names.split('').map((uuid) => ({ uuid }) as LayerRow)

/** `dc on b`: one stretch of d and c, which lies on the one that ends with b. */
const show = (...chains: string[]): string[] =>
  stretchesOf(chains.map(chain)).map(({ layers, below }) => {
    const names = layers.map(({ uuid }) => uuid).join('')
    return below === undefined ? names : `${names} on ${below.top.uuid}`
  })

describe('stretches', () => {
  test.each([
    ['a chain that one disk is seen through is one', ['cba'], ['cba']],
    ['a snapshot ends one', ['dcba', 'ba'], ['ba', 'dc on b']],
    ['in whatever order the disks come', ['ba', 'dcba'], ['ba', 'dc on b']],
    ['disks with the same top share it', ['ba', 'ba'], ['ba']],
    ['what two disks part from is copied once', ['ca', 'ba'], ['a', 'c on a', 'b on a']],
    ['chains that share nothing lie apart', ['ba', 'dc'], ['ba', 'dc']],
    [
      'all of it together',
      ['hgcba', 'fecba', 'ba', 'z'],
      ['ba', 'c on b', 'hg on c', 'fe on c', 'z'],
    ],
    ['no chains, none', [], []],
  ])('%s', (_name, chains, expected) => {
    expect(show(...chains)).toEqual(expected)
  })
})
