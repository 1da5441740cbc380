// What VDIs and storage repositories take.

import { describe, expect, test } from 'vitest'
import type { Catalog } from '../../../../src/catalog/catalog.ts'
import { GiB, MiB } from '../../../../src/units.ts'
import {
  addLayer,
  createStartedCatalog,
  createTestClock,
  createTestVdi,
} from '../../../support/catalogs.ts'

const start = async () => {
  const clock = createTestClock()
  return { clock, ...(await createStartedCatalog(':memory:', clock)) }
}

type Started = Awaited<ReturnType<typeof start>>

/** Of all VDIs in the order they were made, in layers; asked one by one and all at once. */
const layersOf = async (catalog: Catalog): Promise<number[]> => {
  const vdis = await catalog.vdis.list()
  const all = await catalog.utilisation.ofVdis()
  return Promise.all(
    vdis.map(async (vdi) => {
      const bytes = await catalog.utilisation.ofVdi(vdi)
      expect(all.get(vdi.uuid) ?? 0).toBe(bytes)
      return bytes / (3 * MiB)
    }),
  )
}

/** Made a second later than what was made before. */
const snapshot = async ({ catalog, clock }: Started, uuid: string): Promise<string> => {
  clock.advance(1000)
  const { uuid: made } = await catalog.vdis.derive(uuid, (source) => {
    const { uuid: _uuid, createdAt: _createdAt, ...rest } = source
    return { ...rest, isSnapshot: true, snapshotOfUuid: uuid }
  })
  return made
}

describe('utilisation', () => {
  test('of a VDI is what destroying it would free', async () => {
    const started = await start()
    const { catalog, srUuid } = started
    const { uuid } = await createTestVdi(catalog, srUuid)
    expect(await layersOf(catalog)).toEqual([0])
    await addLayer(catalog, uuid)
    await addLayer(catalog, uuid)
    expect(await layersOf(catalog)).toEqual([2])
    const first = await snapshot(started, uuid)
    expect(await layersOf(catalog)).toEqual([0, 0])
    await addLayer(catalog, uuid)
    expect(await layersOf(catalog)).toEqual([1, 0])
    const second = await snapshot(started, uuid)
    await addLayer(catalog, uuid)
    await addLayer(catalog, uuid)
    expect(await layersOf(catalog)).toEqual([2, 0, 0])
    // The disk still needs what the first snapshot shows.
    await catalog.vdis.destroy(first)
    expect(await layersOf(catalog)).toEqual([2, 0])
    await catalog.vdis.destroy(second)
    expect(await layersOf(catalog)).toEqual([5])
  })

  test('is not changed by what is being written, or deleted, on top', async () => {
    const started = await start()
    const { catalog, srUuid } = started
    const { uuid } = await createTestVdi(catalog, srUuid)
    const below = await addLayer(catalog, uuid)
    const keeper = await snapshot(started, uuid)
    await addLayer(catalog, uuid)
    await catalog.vdis.destroy(uuid)
    const writing = { srUuid, parentUuid: below, format: 'qcow2', virtualSize: GiB } as const
    await catalog.layers.begin({
      ...writing,
      uuid: '00000000-0000-4000-8000-000000000000',
      createdAt: new Date(),
    })
    await catalog.layers.claimUnreachable(srUuid, new Set())
    expect(await layersOf(catalog)).toEqual([1])
    expect((await catalog.vdis.list()).map((vdi) => vdi.uuid)).toEqual([keeper])
  })

  test('of a storage repository counts each layer once, and each virtual size', async () => {
    const started = await start()
    const { catalog, srUuid } = started
    expect(await catalog.utilisation.ofSr(srUuid)).toEqual({
      physicalUtilisation: 0,
      virtualAllocation: 0,
    })
    const { uuid } = await createTestVdi(catalog, srUuid)
    await addLayer(catalog, uuid)
    await snapshot(started, uuid)
    await addLayer(catalog, uuid)
    expect(await catalog.utilisation.ofSr(srUuid)).toEqual({
      physicalUtilisation: 6 * MiB,
      virtualAllocation: 2 * GiB,
    })
  })
})
