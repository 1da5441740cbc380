// In which order disks are sent and what each is sent on top of.

import { describe, expect, test } from 'vitest'
import { planDisks } from '../../../../src/operations/moves/plan-disks.ts'

type Planned = Parameters<typeof planDisks>[0][number]

/** @param layers one letter each, top first */
const disk = (uuid: string, layers: string, more: Partial<Planned> = {}): Planned => ({
  uuid,
  layers: layers.split(''),
  contentUuid: layers === '' ? null : `content of ${layers}`,
  virtualSize: 100,
  place: 'sr vhd',
  time: Infinity,
  ...more,
})

/** `uuid` is whole, `uuid<base` a delta, `uuid=base` a clone that nothing is sent for. */
const planned = (...disks: readonly Planned[]): string[] =>
  planDisks(disks).map(({ uuid, base, isSent }) => {
    if (base === null) return isSent ? uuid : `${uuid} empty`
    return isSent ? `${uuid}<${base}` : `${uuid}=${base}`
  })

describe('disks are planned', () => {
  test('as deltas over the snapshot before them, older first', () => {
    expect(
      planned(
        disk('disk', 'cba'),
        disk('second', 'ba', { time: 2 }),
        disk('first', 'a', { time: 1 }),
      ),
    ).toEqual(['first', 'second<first', 'disk<second'])
  })

  test('over the one with which they share most, not the one just before', () => {
    expect(
      planned(
        disk('first', 'a', { time: 1 }),
        disk('branch', 'xa', { time: 2 }),
        disk('disk', 'ba'),
      ),
    ).toEqual(['first', 'branch<first', 'disk<first'])
    expect(planned(disk('one', 'yxa', { time: 1 }), disk('two', 'zxa'))).toEqual(['one', 'two<one'])
  })

  test('as clones where nothing differs, whatever their layers are', () => {
    expect(planned(disk('first', 'ba', { time: 1 }), disk('disk', 'ba'))).toEqual([
      'first',
      'disk=first',
    ])
    const merged = { contentUuid: 'same' }
    expect(
      planned(disk('first', 'ba', { time: 1, ...merged }), disk('disk', 'ca', merged)),
    ).toEqual(['first', 'disk=first'])
    // A larger one shows the same and zeros.
    const grown = disk('disk', 'a', { virtualSize: 200 })
    expect(planned(grown, disk('first', 'a', { time: 1 }))).toEqual(['first', 'disk=first'])
  })

  test('apart where they share nothing or lie in different places, smaller first', () => {
    expect(
      planned(
        disk('large', 'ba', { virtualSize: 200 }),
        disk('small', 'd'),
        disk('other', 'a', { place: 'sr qcow2', time: 1 }),
      ),
    ).toEqual(['other', 'small', 'large'])
  })

  test('never over a larger one: a disk cannot shrink', () => {
    const large = disk('snapshot', 'a', { virtualSize: 200, time: 1 })
    expect(planned(large, disk('disk', 'a', { virtualSize: 100 }))).toEqual([
      'disk',
      'snapshot=disk',
    ])
  })

  test('without an upload where they hold nothing', () => {
    expect(planned(disk('empty', ''), disk('other', ''))).toEqual(['empty empty', 'other empty'])
  })

  test('in steps that grow with the layers, not with their square', () => {
    const layers = Array.from({ length: 2000 }, (_, index) => `layer ${index}`)
    const disks = layers.map((_, index) => ({
      ...disk(`s${index}`, '', { time: index }),
      layers: layers.slice(Math.max(0, index - 3), index + 1).toReversed(),
      contentUuid: `c${index}`,
    }))
    const steps = planDisks(disks)
    expect(steps.slice(1).every(({ base }, index) => base === `s${index}`)).toBe(true)
  })
})
