// The tree of layers: what lies below, what is needed, what is not.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createLayerTree } from '../../../../src/catalog/layers/layer-tree.ts'

type State = 'writing' | 'sealed' | 'deleting'

const layer = (uuid: string, parentUuid: string | null, state: State = 'sealed') => ({
  uuid,
  parentUuid,
  state,
})

/** `a ← b ← c`, `b ← d`, and `e` alone. */
const tree = createLayerTree([
  layer('a', null),
  layer('b', 'a'),
  layer('c', 'b'),
  layer('d', 'b', 'writing'),
  layer('e', null),
])

const uuidsOf = (layers: Iterable<{ readonly uuid: string }>): string[] =>
  Array.from(layers, ({ uuid }) => uuid)

describe('a tree of layers', () => {
  test('goes down from a layer to the one that lies on nothing', () => {
    expect(uuidsOf(tree.downFrom('c'))).toEqual(['c', 'b', 'a'])
    expect(uuidsOf(tree.downFrom('e'))).toEqual(['e'])
    expect(uuidsOf(tree.downFrom('nowhere'))).toEqual([])
  })

  test('needs the roots and what lies below them', () => {
    expect(tree.neededBy(['d', 'nowhere'])).toEqual(new Set(['d', 'b', 'a']))
    expect(tree.neededBy([])).toEqual(new Set())
  })

  test('does not need the other sealed layers, each before its parent', () => {
    expect(uuidsOf(tree.unneededBy(['e']))).toEqual(['c', 'b', 'a'])
    expect(uuidsOf(tree.unneededBy(['d']))).toEqual(['c', 'e'])
  })

  test('counts the children that stay', () => {
    const parents = createLayerTree([
      layer('a', null),
      layer('b', 'a'),
      layer('c', 'a', 'writing'),
      layer('d', 'a', 'deleting'),
    ])
    expect(['a', 'b', 'nowhere'].map((uuid) => parents.childCount(uuid))).toEqual([2, 0, 0])
  })

  test('ends a walk in a cycle, which the catalog never makes', () => {
    const cycle = createLayerTree([layer('a', 'b'), layer('b', 'a')])
    expect(uuidsOf(cycle.downFrom('a'))).toEqual(['a', 'b'])
    expect(cycle.neededBy(['a'])).toEqual(new Set(['a', 'b']))
  })

  test('agrees with a walk from each layer, whatever the tree', () => {
    const states = fc.constantFrom<State>('sealed', 'writing', 'deleting')
    const node = fc.record({ parent: fc.nat(), state: states, isRoot: fc.boolean() })
    fc.assert(
      fc.property(fc.array(node, { maxLength: 40 }), (nodes) => {
        const layers = nodes.map(({ parent, state }, index) =>
          layer(
            String(index),
            index === 0 || parent % 3 === 0 ? null : String(parent % index),
            state,
          ),
        )
        const roots = nodes.flatMap(({ isRoot }, index) => (isRoot ? [String(index)] : []))
        const isBelow = (uuid: string, top: string | null): boolean =>
          top !== null && (uuid === top || isBelow(uuid, layers[Number(top)]!.parentUuid))
        const needed = layers.filter(({ uuid }) => roots.some((root) => isBelow(uuid, root)))
        const found = createLayerTree(layers)
        expect(found.neededBy(roots)).toEqual(new Set(uuidsOf(needed)))
        const unneeded = uuidsOf(found.unneededBy(roots))
        const expected = layers.filter((one) => one.state === 'sealed' && !needed.includes(one))
        expect(new Set(unneeded)).toEqual(new Set(uuidsOf(expected)))
        for (const [index, uuid] of unneeded.entries()) {
          const later = unneeded.slice(index + 1)
          expect(later.filter((other) => isBelow(uuid, other))).toEqual([])
        }
      }),
    )
  })
})
