// VDIs that go to another storage repository, all or none, and layers that are nobody's yet.

import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Catalog } from '../../../src/catalog/catalog.ts'
import type { Change } from '../../../src/catalog/changes.ts'
import { MiB } from '../../../src/units.ts'
import {
  addLayer,
  beginLayer,
  createStartedCatalog,
  createTestSr,
  createTestVdi,
} from '../../support/catalogs.ts'

/** A sealed layer that no VDI names. */
const sealOne = async (catalog: Catalog, srUuid: string): Promise<string> => {
  const uuid = await beginLayer(catalog, srUuid)
  await catalog.layers.seal({ uuid, parentUuid: null, fileSize: MiB })
  return uuid
}

const start = async () => {
  const { catalog, srUuid } = await createStartedCatalog()
  const otherSrUuid = await createTestSr(catalog)
  const { uuid } = await createTestVdi(catalog, srUuid)
  await addLayer(catalog, uuid)
  const vdi = (await catalog.vdis.get(uuid))!
  const snapshot = await catalog.vdis.create({
    srUuid,
    virtualSize: vdi.virtualSize,
    format: 'qcow2',
    isSnapshot: true,
    snapshotOfUuid: uuid,
  })
  const target = { srUuid: otherSrUuid, format: 'vhd', requestedFormat: 'vhd' } as const
  return { catalog, srUuid, otherSrUuid, vdi, snapshot, target }
}

describe('moved VDIs', () => {
  test('name their new layers, and everybody who watches is told', async () => {
    const { catalog, srUuid, otherSrUuid, vdi, snapshot, target } = await start()
    const layerUuid = await sealOne(catalog, otherSrUuid)
    const changes: Change[] = []
    catalog.changes.subscribe((change) => changes.push(change))
    const vdis = [
      { vdi, layerUuid },
      { vdi: snapshot, layerUuid: null },
    ]
    await catalog.vdis.move([{ ...target, vdis }], undefined, vdi.uuid)
    const { contentAt } = vdi
    const moved = { ...vdi, ...target, layerUuid, contentUuid: layerUuid, contentAt }
    expect(await catalog.vdis.get(vdi.uuid)).toEqual(moved)
    expect(await catalog.vdis.get(snapshot.uuid)).toEqual({ ...snapshot, ...target })
    expect(changes.map(({ className, uuid, operation }) => [className, uuid, operation])).toEqual([
      ['VDI', vdi.uuid, 'mod'],
      ['SR', srUuid, 'mod'],
      ['SR', otherSrUuid, 'mod'],
      ['VDI', snapshot.uuid, 'mod'],
    ])
  })

  test('stay, all of them, when one cannot move', async () => {
    const { catalog, srUuid, otherSrUuid, vdi, snapshot, target } = await start()
    const layerUuid = await sealOne(catalog, otherSrUuid)
    const here = await sealOne(catalog, srUuid)
    const first = { vdi, layerUuid }
    const tries = [
      [[first], 'OTHER_OPERATION_IN_PROGRESS'],
      [[first, { vdi: snapshot, layerUuid: here }], 'HANDLE_INVALID'],
      [[first, { vdi: snapshot, layerUuid: randomUUID() }], 'HANDLE_INVALID'],
      [
        [first, { vdi: { ...snapshot, contentUuid: randomUUID() }, layerUuid: null }],
        'OTHER_OPERATION_IN_PROGRESS',
      ],
      [
        [
          first,
          { vdi: snapshot, layerUuid: null },
          { vdi: { ...vdi, uuid: randomUUID() }, layerUuid },
        ],
        'HANDLE_INVALID',
      ],
    ] as const
    for (const [vdis, code] of tries) {
      await expect(
        catalog.vdis.move([{ ...target, vdis }], undefined, vdi.uuid),
      ).rejects.toMatchObject({ code })
      expect(await catalog.vdis.get(vdi.uuid)).toEqual(vdi)
      expect(await catalog.vdis.get(snapshot.uuid)).toEqual(snapshot)
    }
  })
})

describe('a sealed layer that no VDI names', () => {
  test('goes unless it is held', async () => {
    const { catalog, otherSrUuid } = await start()
    const held = await sealOne(catalog, otherSrUuid)
    const free = await sealOne(catalog, otherSrUuid)
    const claimed = await catalog.layers.claimUnreachable(otherSrUuid, new Set([held]))
    expect(claimed.map((layer) => layer.uuid)).toEqual([free])
    await expect(
      catalog.layers.seal({ uuid: held, parentUuid: null, fileSize: MiB }),
    ).rejects.toThrow(`Cannot commit the layer ${held}, which is sealed`)
  })
})

describe('a derived VDI', () => {
  test('is refused with its source, and told of', async () => {
    const { catalog, srUuid, vdi } = await start()
    const unknown = catalog.vdis.derive(randomUUID(), (source) => source)
    await expect(unknown).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
    const changes: Change[] = []
    catalog.changes.subscribe((change) => changes.push(change))
    const made = await catalog.vdis.derive(vdi.uuid, (source) => ({
      ...source,
      uuid: randomUUID(),
      snapshotOfUuid: source.uuid,
    }))
    expect(changes.map(({ className, uuid, operation }) => [className, uuid, operation])).toEqual([
      ['VDI', made.uuid, 'add'],
      ['SR', srUuid, 'mod'],
      ['VDI', vdi.uuid, 'mod'],
    ])
    expect(made).toMatchObject({ layerUuid: vdi.layerUuid, contentUuid: vdi.contentUuid })
  })
})
