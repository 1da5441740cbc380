// Which layers are merged, and that the catalog lets a merge count only while it still fits.

import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { chooseRun } from '../../../../src/catalog/layers/choose-run.ts'
import type { LayerRow } from '../../../../src/catalog/layers/layer-row.ts'
import { GiB, MiB } from '../../../../src/units.ts'
import {
  addLayer,
  beginLayer,
  createStartedCatalog,
  createTestVdi,
} from '../../../support/catalogs.ts'

const layerOf = (
  uuid: string,
  parentUuid: string | null,
  more: Partial<LayerRow> = {},
): LayerRow => ({
  uuid,
  srUuid: 'sr',
  parentUuid,
  format: 'qcow2',
  state: 'sealed',
  virtualSize: GiB,
  fileSize: MiB,
  hasData: true,
  destroyed: false,
  fileName: null,
  fileStamp: null,
  createdAt: new Date(0),
  ...more,
})

/** A chain by its letters, bottom first: `abcd`. */
const chainOf = (
  names: string,
  more: Readonly<Record<string, Partial<LayerRow>>> = {},
): LayerRow[] =>
  Array.from(names, (name, index) => layerOf(name, names[index - 1] ?? null, more[name]))

const choose = (
  layers: readonly LayerRow[],
  named: string,
  maximumDepth: number,
  postponed: readonly string[] = [],
): string | undefined =>
  chooseRun(layers, new Set(named), { maximumDepth, postponed: new Set(postponed) })
    ?.map(({ uuid }) => uuid)
    .join('')

describe('the run that is merged next', () => {
  it.each([
    ['none while chains are short enough', chainOf('abc'), 'c', 3, undefined],
    ['as much as is too much', chainOf('abcde', { a: { fileSize: GiB } }), 'e', 3, 'edc'],
    ['of the fewest bytes', chainOf('abcd', { c: { fileSize: GiB } }), 'd', 3, 'ba'],
    ['the whole chain if need be', chainOf('abcd'), 'd', 1, 'dcba'],
    ['nothing across a layer that a VDI names', chainOf('abcd'), 'acd', 1, 'cb'],
    ['none where all are named', chainOf('abcd'), 'abcd', 1, undefined],
    ['not below a branch', [...chainOf('abc'), layerOf('x', 'b')], 'cx', 1, 'ba'],
    [
      'a layer being written is a branch',
      [...chainOf('abc'), layerOf('x', 'b', { state: 'writing' })],
      'c',
      1,
      'ba',
    ],
    [
      'one being deleted is none',
      [...chainOf('abc'), layerOf('x', 'b', { state: 'deleting' })],
      'c',
      1,
      'cba',
    ],
    ['no layer without data', chainOf('abcd', { b: { hasData: false } }), 'd', 1, 'dc'],
    ['no file that others may change', chainOf('abcd', { b: { fileStamp: '1' } }), 'd', 1, 'dc'],
    ['a disk that has grown', chainOf('abc', { c: { virtualSize: 2 * GiB } }), 'c', 1, 'cba'],
    ['not into one that cuts off', chainOf('abcd', { c: { virtualSize: MiB } }), 'd', 1, 'ba'],
    ['the longest chain first', [...chainOf('abc'), ...chainOf('wxyz')], 'cz', 1, 'zyxw'],
  ] as const)('%s', (_name, layers, named, maximumDepth, expected) => {
    expect(choose(layers, named, maximumDepth)).toBe(expected)
  })

  it('leaves alone what was postponed, and takes the next best', () => {
    const layers = chainOf('abcd', { d: { fileSize: GiB } })
    expect(choose(layers, 'd', 3)).toBe('cb')
    expect(choose(layers, 'd', 3, ['c'])).toBe('ba')
    expect(choose(layers, 'd', 3, ['c', 'b'])).toBeUndefined()
  })
})

const start = async () => {
  const { catalog, srUuid } = await createStartedCatalog()
  const vdi = await createTestVdi(catalog, srUuid)
  const uuids: string[] = []
  for (let count = 0; count < 4; count += 1) uuids.push(await addLayer(catalog, vdi.uuid))
  const run = (await catalog.coalescing.nextRun(srUuid, { maximumDepth: 2, postponed: new Set() }))!
  return { catalog, srUuid, vdiUuid: vdi.uuid, uuids, run }
}

const parents = async ({ catalog, srUuid }: Awaited<ReturnType<typeof start>>) =>
  new Map((await catalog.layers.list(srUuid)).map(({ uuid, parentUuid }) => [uuid, parentUuid]))

describe('rebase', () => {
  it('moves the top layer onto what the run lay on; the others are then reached by nobody', async () => {
    const started = await start()
    const { catalog, srUuid, vdiUuid, run } = started
    const told: string[] = []
    catalog.changes.subscribe(({ className, uuid }) => told.push(`${className} ${uuid}`))
    expect(run).toHaveLength(3)
    expect(await catalog.coalescing.isRun(run)).toBe(true)
    expect(await catalog.coalescing.rebase({ run, fileSize: 7 * MiB })).toBe(true)
    const top = await catalog.layers.get(run[0]!.uuid)
    expect(top).toMatchObject({ parentUuid: run[2]!.parentUuid, fileSize: 7 * MiB })
    const claimed = await catalog.layers.claimUnreachable(srUuid, new Set())
    expect(claimed.map(({ uuid }) => uuid)).toEqual(run.slice(1).map(({ uuid }) => uuid))
    const named = (await catalog.vdis.get(vdiUuid))!.layerUuid === run[0]!.uuid
    expect(told.includes(`VDI ${vdiUuid}`)).toBe(named)
  })

  it.each([
    [
      'a VDI names a layer inside by now',
      async ({ catalog, srUuid, run }: Awaited<ReturnType<typeof start>>) => {
        const layerUuid = run[1]!.uuid
        await catalog.vdis.create({ srUuid, virtualSize: GiB, format: 'qcow2', layerUuid })
      },
    ],
    [
      'an import has begun on a layer inside',
      async ({ catalog, srUuid, run }: Awaited<ReturnType<typeof start>>) => {
        await beginLayer(catalog, srUuid, { parentUuid: run[2]!.uuid })
      },
    ],
    [
      'nobody needs them any more',
      async ({ catalog, vdiUuid }: Awaited<ReturnType<typeof start>>) => {
        await catalog.vdis.destroy(vdiUuid)
      },
    ],
    [
      'the layers have gone',
      async ({ catalog, srUuid, vdiUuid }: Awaited<ReturnType<typeof start>>) => {
        await catalog.vdis.destroy(vdiUuid)
        await catalog.layers.claimUnreachable(srUuid, new Set())
      },
    ],
    [
      'a part has been merged already',
      async ({ catalog, run }: Awaited<ReturnType<typeof start>>) => {
        await catalog.coalescing.rebase({ run: run.slice(1), fileSize: MiB })
      },
    ],
  ])('does nothing where %s', async (_name, happen) => {
    const started = await start()
    const { catalog, run } = started
    await happen(started)
    const before = await parents(started)
    expect(await catalog.coalescing.isRun(run)).toBe(false)
    expect(await catalog.coalescing.rebase({ run, fileSize: MiB })).toBe(false)
    expect(await parents(started)).toEqual(before)
  })
})

describe('layers without data', () => {
  const snapshot = async (more = {}) => {
    const started = await start()
    const { catalog, srUuid, vdiUuid } = started
    const { layerUuid } = (await catalog.vdis.get(vdiUuid))!
    const fixed = { srUuid, virtualSize: GiB, format: 'qcow2', layerUuid } as const
    const state = { isSnapshot: true, snapshotOfUuid: vdiUuid, cbtEnabled: true }
    const { uuid } = await catalog.vdis.create({ ...fixed, ...state, ...more })
    return { ...started, uuid }
  }

  it('a snapshot with tracked blocks can lose its data, again and again', async () => {
    const { catalog, uuid } = await snapshot()
    await catalog.keptMaps.destroyData(uuid)
    await catalog.keptMaps.destroyData(uuid)
    expect((await catalog.vdis.get(uuid))?.type).toBe('cbt_metadata')
  })

  it.each([
    ['a disk that is no snapshot', { isSnapshot: false }, 'OPERATION_NOT_ALLOWED'],
    ['a snapshot without tracked blocks', { cbtEnabled: false }, 'VDI_NO_CBT_METADATA'],
  ])('%s keeps it', async (_name, more, code) => {
    const { catalog, uuid } = await snapshot(more)
    await expect(catalog.keptMaps.destroyData(uuid)).rejects.toMatchObject({ code })
    expect((await catalog.vdis.get(uuid))?.type).toBe('user')
    const gone = catalog.keptMaps.destroyData(randomUUID())
    await expect(gone).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
  })

  it('only what no other VDI, no reader and no import needs is superfluous', async () => {
    const { catalog, srUuid, vdiUuid, uuid, uuids } = await snapshot()
    const { keptMaps } = catalog
    const superfluous = async (pinned: readonly string[] = []) =>
      (await keptMaps.superfluousData(srUuid, new Set(pinned))).map((layer) => layer.uuid)
    await keptMaps.destroyData(uuid)
    expect(await superfluous()).toEqual([])
    await catalog.vdis.destroy(vdiUuid)
    const topFirst = uuids.toReversed()
    expect(await superfluous()).toEqual(topFirst)
    expect(await superfluous([topFirst[1]!])).toEqual([topFirst[0]])
    const writing = await beginLayer(catalog, srUuid, { parentUuid: topFirst[2]! })
    expect(await superfluous()).toEqual(topFirst.slice(0, 2))
    await catalog.layers.remove(writing)

    const asked = new Set([topFirst[0]!])
    const dropped = await keptMaps.dropData(srUuid, new Set(), asked)
    expect(dropped.map((layer) => layer.uuid)).toEqual([topFirst[0]])
    expect(await catalog.layers.get(topFirst[0]!)).toMatchObject({ hasData: false, fileSize: 0 })
    expect((await keptMaps.list()).map((layer) => layer.uuid)).toEqual([topFirst[0]])
    expect(await keptMaps.dropData(srUuid, new Set(), asked)).toEqual([])
  })
})
