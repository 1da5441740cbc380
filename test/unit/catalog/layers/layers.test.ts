// Layers: what a commit promises, chains, what a crash leaves, and which layers may go.

import { randomUUID } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import type { Catalog } from '../../../../src/catalog/catalog.ts'
import { GiB, MiB } from '../../../../src/units.ts'
import {
  addLayer,
  beginLayer,
  createStartedCatalog,
  createTestSr,
  createTestVdi,
  testCatalogPath,
} from '../../../support/catalogs.ts'

const start = async (path?: string) => {
  const { catalog, srUuid } = await createStartedCatalog(path)
  const vdi = await createTestVdi(catalog, srUuid)
  return { catalog, srUuid, vdiUuid: vdi.uuid }
}

const topLayer = async (catalog: Catalog, vdiUuid: string) =>
  (await catalog.vdis.get(vdiUuid))?.layerUuid

describe('commit', () => {
  it('seals the layer and moves the VDI to it', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    const uuid = await beginLayer(catalog, srUuid)
    expect(await catalog.layers.get(uuid)).toMatchObject({ state: 'writing', fileSize: 0 })
    const fileSize = 5 * MiB
    const parentUuid = null
    await catalog.layers.commit({ uuid, vdiUuid, expectedLayerUuid: null, parentUuid, fileSize })
    expect(await catalog.layers.get(uuid)).toMatchObject({
      uuid,
      srUuid,
      parentUuid: null,
      format: 'qcow2',
      state: 'sealed',
      virtualSize: GiB,
      fileSize,
    })
    const vdi = await catalog.vdis.get(vdiUuid)
    expect(vdi).toMatchObject({ layerUuid: uuid, contentUuid: uuid })
  })

  it('makes a VDI together with its content, or neither', async () => {
    const { catalog, srUuid } = await start()
    const uuid = await beginLayer(catalog, srUuid)
    const vdi = { uuid: randomUUID(), srUuid, virtualSize: GiB, format: 'qcow2' } as const
    const sealed = { uuid, parentUuid: null, fileSize: MiB }
    const elsewhere = { ...vdi, srUuid: randomUUID() }
    await expect(catalog.layers.commitNew(sealed, elsewhere)).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
    })
    const unknown = { ...sealed, uuid: randomUUID() }
    await expect(catalog.layers.commitNew(unknown, vdi)).rejects.toMatchObject({
      code: 'INTERNAL_ERROR',
    })
    expect(await catalog.vdis.get(vdi.uuid)).toBeUndefined()
    await catalog.layers.commitNew(sealed, vdi)
    expect(await catalog.vdis.get(vdi.uuid)).toMatchObject({ layerUuid: uuid, srUuid })
    expect(await catalog.layers.get(uuid)).toMatchObject({ state: 'sealed', fileSize: MiB })
  })

  it('can drop the parent that the layer was begun on', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    const parentUuid = await addLayer(catalog, vdiUuid)
    const uuid = await beginLayer(catalog, srUuid, { parentUuid })
    await catalog.layers.commit({
      uuid,
      vdiUuid,
      expectedLayerUuid: parentUuid,
      parentUuid: null,
      fileSize: MiB,
    })
    expect(await catalog.layers.chain(uuid)).toHaveLength(1)
  })

  it('changes nothing when the VDI has gone', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    const uuid = await beginLayer(catalog, srUuid)
    await catalog.vdis.destroy(vdiUuid)
    const commit = { uuid, vdiUuid, expectedLayerUuid: null, parentUuid: null, fileSize: MiB }
    await expect(catalog.layers.commit(commit)).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
      params: ['VDI', `OpaqueRef:${vdiUuid}`],
    })
    expect(await catalog.layers.get(uuid)).toMatchObject({ state: 'writing', fileSize: 0 })
  })

  it('lets one of two imports win, whichever comes first', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    const uuids = [await beginLayer(catalog, srUuid), await beginLayer(catalog, srUuid)]
    const outcomes = await Promise.allSettled(
      uuids.map((uuid) =>
        catalog.layers.commit({
          uuid,
          vdiUuid,
          expectedLayerUuid: null,
          parentUuid: null,
          fileSize: MiB,
        }),
      ),
    )
    expect(outcomes.map((outcome) => outcome.status).toSorted()).toEqual(['fulfilled', 'rejected'])
    const won = outcomes.findIndex((outcome) => outcome.status === 'fulfilled')
    expect(await topLayer(catalog, vdiUuid)).toBe(uuids[won])
    expect(outcomes[1 - won]).toMatchObject({
      reason: { code: 'OTHER_OPERATION_IN_PROGRESS', params: ['VDI', `OpaqueRef:${vdiUuid}`] },
    })
    expect((await catalog.layers.get(uuids[1 - won]!))?.state).toBe('writing')
  })

  it('is undone when the second of its writes fails', async () => {
    const path = await testCatalogPath()
    const { catalog, srUuid, vdiUuid } = await start(path)
    const uuid = await beginLayer(catalog, srUuid)
    const beside = new DatabaseSync(path)
    beside.exec(`create trigger broken before update of layer_uuid on vdis
      begin select raise(abort, 'disk I/O error'); end`)
    beside.close()
    const commit = { uuid, vdiUuid, expectedLayerUuid: null, parentUuid: null, fileSize: MiB }
    await expect(catalog.layers.commit(commit)).rejects.toThrow('disk I/O error')
    expect(await catalog.layers.get(uuid)).toMatchObject({ state: 'writing', fileSize: 0 })
    expect(await topLayer(catalog, vdiUuid)).toBeNull()
  })

  it('takes a layer once', async () => {
    const { catalog, vdiUuid } = await start()
    const uuid = await addLayer(catalog, vdiUuid)
    const commit = { uuid, vdiUuid, expectedLayerUuid: uuid, parentUuid: null, fileSize: MiB }
    await expect(catalog.layers.commit(commit)).rejects.toThrow(
      `Cannot commit the layer ${uuid}, which is sealed`,
    )
  })

  it('refuses a parent that is on its way out', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    const other = await createTestVdi(catalog, srUuid, 'other')
    const parentUuid = await addLayer(catalog, other.uuid)
    const uuid = await beginLayer(catalog, srUuid)
    await catalog.vdis.destroy(other.uuid)
    await catalog.layers.claimUnreachable(srUuid, new Set())
    const commit = { uuid, vdiUuid, expectedLayerUuid: null, parentUuid, fileSize: MiB }
    await expect(catalog.layers.commit(commit)).rejects.toThrow(`${parentUuid}, which is deleting`)
    expect(await topLayer(catalog, vdiUuid)).toBeNull()
  })

  it('refuses a layer of another storage repository', async () => {
    const { catalog, vdiUuid } = await start()
    const uuid = await beginLayer(catalog, await createTestSr(catalog))
    const commit = { uuid, vdiUuid, expectedLayerUuid: null, parentUuid: null, fileSize: MiB }
    await expect(catalog.layers.commit(commit)).rejects.toMatchObject({ code: 'INTERNAL_ERROR' })
    expect(await topLayer(catalog, vdiUuid)).toBeNull()
  })
})

describe('begin', () => {
  it('refuses a parent that is unknown, still being written or elsewhere', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    const unknown = randomUUID()
    const writing = await beginLayer(catalog, srUuid)
    const sealed = await addLayer(catalog, vdiUuid)
    const otherSr = await createTestSr(catalog)
    await expect(beginLayer(catalog, srUuid, { parentUuid: unknown })).rejects.toThrow('unknown')
    await expect(beginLayer(catalog, srUuid, { parentUuid: writing })).rejects.toThrow('writing')
    await expect(beginLayer(catalog, otherSr, { parentUuid: sealed })).rejects.toThrow(
      `sealed in the SR ${srUuid}`,
    )
  })
})

describe('chain', () => {
  it('goes from the top down to the whole layer', async () => {
    const { catalog, vdiUuid } = await start()
    const uuids: string[] = []
    for (let count = 0; count < 5; count += 1) uuids.unshift(await addLayer(catalog, vdiUuid))
    const chain = await catalog.layers.chain(uuids[0]!)
    expect(chain.map((layer) => layer.uuid)).toEqual(uuids)
    expect(chain.at(-1)?.parentUuid).toBeNull()
    expect(chain[0]?.createdAt).toBeInstanceOf(Date)
    expect((await catalog.layers.chain(uuids[3]!)).map((layer) => layer.uuid)).toEqual(
      uuids.slice(3),
    )
  })

  it('names an unknown layer', async () => {
    const { catalog } = await start()
    await expect(catalog.layers.chain(randomUUID())).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
    })
  })

  it.each([
    ['a cycle', `update layers set parent_uuid = (select layer_uuid from vdis)`],
    [
      '4097 layers',
      `with recursive numbers(value) as (select 1 union all select value + 1 from numbers where value < 4096)
        insert into layers (uuid, sr_uuid, parent_uuid, format, state, virtual_size, file_size, created_at)
          select 'layer' || value, sr_uuid,
          case value when 1 then layers.uuid else 'layer' || (value - 1) end,
          format, state, virtual_size, file_size, created_at from numbers join layers order by value;
       update vdis set layer_uuid = 'layer4096'`,
    ],
  ])('stops at %s', async (_name, breakIt) => {
    const path = await testCatalogPath()
    const { catalog, vdiUuid } = await start(path)
    await addLayer(catalog, vdiUuid)
    const beside = new DatabaseSync(path, { enableForeignKeyConstraints: false })
    beside.exec(breakIt)
    beside.close()
    const top = await topLayer(catalog, vdiUuid)
    await expect(catalog.layers.chain(top!)).rejects.toMatchObject({
      code: 'INTERNAL_ERROR',
      message: `The chain of the layer ${top} is longer than 4096 layers, or a cycle`,
    })
  })

  it('holds 4096 layers', async () => {
    const path = await testCatalogPath()
    const { catalog, vdiUuid } = await start(path)
    await addLayer(catalog, vdiUuid)
    const beside = new DatabaseSync(path)
    beside.exec(`with recursive numbers(value) as
        (select 1 union all select value + 1 from numbers where value < 4095)
      insert into layers (uuid, sr_uuid, parent_uuid, format, state, virtual_size, file_size, created_at)
          select 'layer' || value, sr_uuid,
        case value when 1 then layers.uuid else 'layer' || (value - 1) end,
        format, state, virtual_size, file_size, created_at from numbers join layers order by value`)
    beside.close()
    const chain = await catalog.layers.chain('layer4095')
    expect(chain).toHaveLength(4096)
    expect(chain.at(-1)?.uuid).toBe(await topLayer(catalog, vdiUuid))
  })
})

describe('claimUnreachable', () => {
  const claim = async (catalog: Catalog, srUuid: string, ...pinned: string[]) =>
    (await catalog.layers.claimUnreachable(srUuid, new Set(pinned))).map((layer) => layer.uuid)

  it('takes nothing while VDIs reach everything', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    await addLayer(catalog, vdiUuid)
    await addLayer(catalog, vdiUuid)
    expect(await claim(catalog, srUuid)).toEqual([])
  })

  it('takes the whole chain of a destroyed VDI, each layer before its parent, once', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    const uuids = [await addLayer(catalog, vdiUuid), await addLayer(catalog, vdiUuid)]
    uuids.push(await addLayer(catalog, vdiUuid))
    await catalog.vdis.destroy(vdiUuid)
    const claimed = await catalog.layers.claimUnreachable(srUuid, new Set())
    expect(claimed.map((layer) => layer.uuid)).toEqual(uuids.toReversed())
    expect(claimed.every((layer) => layer.state === 'deleting')).toBe(true)
    expect((await catalog.layers.get(uuids[0]!))?.state).toBe('deleting')
    expect(await claim(catalog, srUuid)).toEqual([])
  })

  it('leaves what a clone still reaches', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    const shared = await addLayer(catalog, vdiUuid)
    const clone = { srUuid, virtualSize: GiB, format: 'qcow2', layerUuid: shared } as const
    await catalog.vdis.create(clone)
    const top = await addLayer(catalog, vdiUuid)
    await catalog.vdis.destroy(vdiUuid)
    expect(await claim(catalog, srUuid)).toEqual([top])
    expect((await catalog.layers.get(shared))?.state).toBe('sealed')
  })

  it('leaves a pinned layer and all below it, takes what lies on it', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    const bottom = await addLayer(catalog, vdiUuid)
    const middle = await addLayer(catalog, vdiUuid)
    const top = await addLayer(catalog, vdiUuid)
    await catalog.vdis.destroy(vdiUuid)
    expect(await claim(catalog, srUuid, middle, 'unknown')).toEqual([top])
    expect(await claim(catalog, srUuid)).toEqual([middle, bottom])
  })

  it('leaves layers being written and the parents that they are written on', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    const parentUuid = await addLayer(catalog, vdiUuid)
    const writing = await beginLayer(catalog, srUuid, { parentUuid })
    await catalog.vdis.destroy(vdiUuid)
    expect(await claim(catalog, srUuid)).toEqual([])
    await catalog.layers.remove(writing)
    expect(await claim(catalog, srUuid)).toEqual([parentUuid])
  })

  it('leaves other storage repositories alone', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    const layer = await addLayer(catalog, vdiUuid)
    await catalog.vdis.destroy(vdiUuid)
    expect(await claim(catalog, await createTestSr(catalog))).toEqual([])
    expect(await claim(catalog, srUuid)).toEqual([layer])
  })
})

describe('remove', () => {
  it('forgets claimed layers in any order', async () => {
    const { catalog, srUuid, vdiUuid } = await start()
    const uuids = [await addLayer(catalog, vdiUuid), await addLayer(catalog, vdiUuid)]
    await catalog.vdis.destroy(vdiUuid)
    await catalog.layers.claimUnreachable(srUuid, new Set())
    for (const uuid of uuids) await catalog.layers.remove(uuid)
    expect(await catalog.layers.list(srUuid)).toEqual([])
    await catalog.layers.remove(uuids[0]!)
  })

  it('refuses a layer that is the content of a VDI, or lies under a sealed one', async () => {
    const { catalog, vdiUuid } = await start()
    const bottom = await addLayer(catalog, vdiUuid)
    const top = await addLayer(catalog, vdiUuid)
    await expect(catalog.layers.remove(top)).rejects.toThrow(
      `Cannot remove the layer ${top}: the VDI ${vdiUuid} lies on it`,
    )
    await expect(catalog.layers.remove(bottom)).rejects.toThrow(
      `Cannot remove the layer ${bottom}: the layer ${top} lies on it`,
    )
    expect(await catalog.layers.chain(top)).toHaveLength(2)
  })
})

describe('unfinished', () => {
  it('tells what a crash left: layers being written and being deleted', async () => {
    const path = await testCatalogPath()
    const { catalog, srUuid, vdiUuid } = await start(path)
    const doomed = await createTestVdi(catalog, srUuid, 'doomed')
    const deleting = await addLayer(catalog, doomed.uuid)
    await addLayer(catalog, vdiUuid)
    await catalog.vdis.destroy(doomed.uuid)
    await catalog.layers.claimUnreachable(srUuid, new Set())
    const writing = await beginLayer(catalog, srUuid)
    await catalog.close()
    const { catalog: restarted } = await createStartedCatalog(path)
    const left = await restarted.layers.unfinished()
    expect(new Map(left.map((layer) => [layer.uuid, layer.state]))).toEqual(
      new Map([
        [deleting, 'deleting'],
        [writing, 'writing'],
      ]),
    )
  })
})
