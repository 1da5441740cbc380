// What is opened, read and remembered to find a difference; and which differences are narrowed.

import { describe, expect, test } from 'vitest'
import type { Disk } from '../../../../src/disk/disk.ts'
import type { Narrowing } from '../../../../src/store/reading/deltas.ts'
import { createLayerStore } from '../../../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../../../src/store/files/memory-folder.ts'
import type { Store } from '../../../../src/store/files/store.ts'
import { GiB, KiB, MiB, TiB } from '../../../../src/units.ts'
import { listExtents } from '../../../support/disks.ts'
import type { TestStorage } from '../../../support/storage.ts'
import { createTestStorage } from '../../../support/storage.ts'

const size = 4 * MiB

/**
 * Passes everything on, and counts the bytes that are read of layers and the walks over all of one.
 */
const countingStore = () => {
  const counts = { bytes: 0, walks: 0 }
  const wrap = (store: Store): Store => ({
    ...store,
    async openLayer(layer) {
      const disk = await store.openLayer(layer)
      const counting: Disk = {
        ...disk,
        extents(range) {
          if (range === undefined || range.length === disk.size) counts.walks += 1
          return disk.extents(range)
        },
        read(offset, target, signal) {
          counts.bytes += target.length
          return disk.read(offset, target, signal)
        },
      }
      return counting
    },
  })
  return { counts, wrap }
}

const start = async () => {
  const { counts, wrap } = countingStore()
  const on = await createTestStorage(wrap)
  const changes = async (vdi: string, base: string, narrow: Narrowing = 'small') => {
    const [row, baseRow] = [await on.vdi(vdi), await on.vdi(base)]
    const { map, how } = await on.storage.contents.changedBlocks(row.uuid, baseRow.uuid, { narrow })
    const changed = [...map.runs()].filter(({ kind }) => kind === 'data')
    return { changed: changed.map(({ offset, length }) => [offset, length]), how }
  }
  return { ...on, counts, changes }
}

/** Two that share no layer: equal in the first MiB, unequal in the second. */
const unrelated = async (on: TestStorage) => {
  const [vdi, base] = [await on.createVdi(size), await on.createVdi(size)]
  await on.write(vdi, [{ offset: 0, length: 2 * MiB, seed: 1 }])
  await on.write(base, [
    { offset: 0, length: MiB, seed: 1 },
    { offset: MiB, length: MiB, seed: 2 },
  ])
  return { vdi, base }
}

describe('the same content', () => {
  test.each(['never', 'small', 'always'] as const)(
    'narrowed %s: an empty delta, and no layer is opened',
    async (narrow) => {
      const on = await start()
      const vdi = await on.createVdi(TiB)
      await on.write(vdi, [{ offset: 0, length: MiB, seed: 1 }])
      await on.write(vdi, [{ offset: 300 * GiB, length: MiB, seed: 1 }])
      const [row, snapshot] = [await on.vdi(vdi), await on.vdi(await on.clone(vdi))]
      on.opened.length = 0
      const delta = await on.storage.contents.openDelta(row.uuid, snapshot.uuid, { narrow })
      expect(await listExtents(delta.disk)).toEqual([{ offset: 0, length: TiB, kind: 'hole' }])
      await delta.disk.close()
      expect(on.opened).toEqual([])
    },
  )

  test('a whole export of such a delta opens none either', async () => {
    const on = await start()
    const vdi = await on.createVdi(size)
    await on.write(vdi, [{ offset: 0, length: MiB, seed: 1 }])
    on.opened.length = 0
    const request = { vdiUuid: vdi, baseUuid: vdi, formatName: 'vhd', options: {} }
    const { bytes } = await on.exportImage(request)
    expect(bytes.length).toBeLessThan(8 * KiB)
    expect(on.opened).toEqual([])
  })

  test('in other layers, as after a merge: the same', async () => {
    const on = await start()
    const { vdi, base } = await unrelated(on)
    const { contentUuid } = await on.vdi(vdi)
    on.opened.length = 0
    const merged = await on.clone(base, { contentUuid })
    expect(await on.changes(merged, vdi)).toEqual({ changed: [], how: 'same' })
    expect(on.opened).toEqual([])
  })

  test('it is read right all the same', async () => {
    const on = await start()
    const vdi = await on.createVdi(size)
    await on.write(vdi, [{ offset: MiB, length: 512, seed: 1 }])
    const row = await on.vdi(vdi)
    const { disk } = await on.storage.contents.openDelta(row.uuid, row.uuid, { narrow: 'never' })
    const byte = new Uint8Array(1)
    await disk.read(MiB, byte)
    await disk.close()
    expect(byte[0]).not.toBe(0)
    expect(on.opened).toEqual([row.layerUuid])
  })
})

describe('a layer on a large chain', () => {
  test('only the layers that are not shared are walked over; of the chain, only changed blocks are read', async () => {
    const on = await start()
    const vdi = await on.createVdi(TiB)
    // 500 runs in the layer that both share.
    const scattered = Array.from({ length: 500 }, (_, index) => ({
      offset: index * 2 * GiB,
      length: 64 * KiB,
      seed: 1,
    }))
    await on.write(vdi, scattered)
    const snapshot = await on.clone(vdi)
    await on.write(vdi, [{ offset: 2 * GiB, length: 4 * KiB, seed: 2 }])
    await on.write(vdi, [{ offset: 500 * GiB + MiB, length: MiB, seed: 2 }])
    const [row, base] = [await on.vdi(vdi), await on.vdi(snapshot)]
    on.counts.walks = 0
    const { disk } = await on.storage.contents.openDelta(row.uuid, base.uuid, { narrow: 'small' })
    expect((await listExtents(disk)).filter(({ kind }) => kind === 'data')).toHaveLength(2)
    await disk.close()
    expect(on.counts.walks).toBeLessThanOrEqual(2)
    on.counts.bytes = 0
    const request = { vdiUuid: vdi, baseUuid: snapshot, formatName: 'vhd', options: {} }
    const { bytes } = await on.exportImage(request)
    // Two blocks of 2 MiB; their holes are not read.
    expect(bytes.length).toBeGreaterThan(4 * MiB)
    expect(on.counts.bytes).toBeLessThan(2 * MiB)
    expect(on.counts.walks).toBeLessThanOrEqual(2)
  })
})

describe('narrowing', () => {
  test('unasked where no layer is shared and little is held', async () => {
    const on = await start()
    const { vdi, base } = await unrelated(on)
    expect(await on.changes(vdi, base)).toEqual({ changed: [[MiB, MiB]], how: 'narrowed' })
  })

  test('not where it is refused', async () => {
    const on = await start()
    const { vdi, base } = await unrelated(on)
    on.counts.bytes = 0
    expect((await on.changes(vdi, base, 'never')).changed).toEqual([[0, 2 * MiB]])
    expect(on.counts.bytes).toBe(0)
  })

  test('not where the base is empty: the maps say it all', async () => {
    const on = await start()
    const { vdi } = await unrelated(on)
    on.counts.bytes = 0
    expect((await on.changes(vdi, await on.createVdi(size))).changed).toEqual([[0, 2 * MiB]])
    expect(on.counts.bytes).toBe(0)
  })

  test('not where the data of one was destroyed, even if its layers still have it for others', async () => {
    const on = await start()
    const { vdi, base } = await unrelated(on)
    const snapshot = { isSnapshot: true, snapshotOfUuid: base, cbtEnabled: true }
    const bare = await on.clone(base, snapshot)
    await on.catalog.keptMaps.destroyData(bare)
    expect(await on.changes(vdi, bare)).toEqual({ changed: [[0, 2 * MiB]], how: 'maps' })
    expect(await on.changes(bare, vdi)).toEqual({ changed: [[0, 2 * MiB]], how: 'maps' })
    await expect(on.changes(vdi, bare, 'always')).rejects.toMatchObject({
      code: 'VDI_INCOMPATIBLE_TYPE',
      message: expect.stringContaining('only the block map is left') as string,
    })
  })

  test('not unasked where a layer is shared, but where it is asked for', async () => {
    const on = await start()
    const vdi = await on.createVdi(size)
    await on.write(vdi, [{ offset: 0, length: MiB, seed: 1 }])
    const base = await on.clone(vdi)
    // The same bytes again, and others.
    await on.write(vdi, [{ offset: 0, length: 128 * KiB, seed: 1 }])
    await on.write(vdi, [{ offset: 128 * KiB, length: 64 * KiB, seed: 2 }])
    expect((await on.changes(vdi, base)).changed).toEqual([[0, 192 * KiB]])
    expect((await on.changes(vdi, base, 'always')).changed).toEqual([[128 * KiB, 64 * KiB]])
  })

  test('is done once for each pair of contents', async () => {
    const on = await start()
    const { vdi, base } = await unrelated(on)
    const first = await on.changes(vdi, base)
    on.counts.bytes = 0
    expect(await on.changes(vdi, base)).toEqual(first)
    expect(await on.changes(await on.clone(vdi), base)).toEqual(first)
    expect(on.counts.bytes).toBe(0)
    await on.write(base, [{ offset: 0, length: 64 * KiB, seed: 3 }])
    expect((await on.changes(vdi, base)).changed).toEqual([
      [0, 64 * KiB],
      [MiB, MiB],
    ])
  })

  test('compares VDIs of two storage repositories too', async () => {
    const on = await start()
    const { vdi, base } = await unrelated(on)
    const { type, contentType, path, shared, defaultFormat } = (await on.catalog.srs.get(
      on.srUuid,
    ))!
    const { uuid: srUuid } = await on.catalog.srs.create({
      type,
      contentType,
      path,
      shared,
      defaultFormat,
      nameLabel: 'another',
      smConfig: {},
      deviceConfig: {},
      readOnly: false,
      tags: [],
    })
    on.storage.stores.attach(srUuid, createLayerStore(createMemoryFolder()))
    const { uuid: away } = await on.catalog.vdis.create({
      srUuid,
      virtualSize: size,
      format: 'vhd',
    })
    await on.write(away, [{ offset: 0, length: 64 * KiB, seed: 1 }])
    expect((await on.changes(away, base)).changed).toEqual([[64 * KiB, 2 * MiB - 64 * KiB]])
    expect((await on.changes(vdi, away, 'never')).changed).toEqual([[0, 2 * MiB]])
  })

  test('has its own ETag', async () => {
    const on = await start()
    const { vdi, base } = await unrelated(on)
    const request = { vdiUuid: vdi, baseUuid: base, formatName: 'vhd', options: {} }
    const tags = new Set<string>()
    for (const narrow of ['never', 'always', 'small'] as const) {
      tags.add((await on.exportImage({ ...request, narrow })).etag)
    }
    expect(tags.size).toBe(2)
  })

  test('what the format cannot carry is refused before anything is compared', async () => {
    const on = await start()
    const { vdi, base } = await unrelated(on)
    on.counts.bytes = 0
    const request = {
      vdiUuid: vdi,
      baseUuid: base,
      formatName: 'raw',
      narrow: 'always',
      options: {},
    } as const
    await expect(on.exportImage(request)).rejects.toMatchObject({ code: 'VALUE_NOT_SUPPORTED' })
    expect(on.counts.bytes).toBe(0)
  })

  test('leaves nothing pinned when the client leaves', async () => {
    const on = await start()
    const { vdi, base } = await unrelated(on)
    const leave = new AbortController()
    const request = { vdiUuid: vdi, baseUuid: base, formatName: 'vhd', options: {} }
    const exporting = on.exportImage({ ...request, narrow: 'always', clientLeft: leave.signal })
    leave.abort()
    await expect(exporting).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    for (const uuid of [vdi, base]) await on.catalog.vdis.destroy(uuid)
    on.storage.upkeep.collect(on.srUuid)
    await on.storage.upkeep.settled()
    expect(await on.catalog.layers.list(on.srUuid)).toEqual([])
  })
})
