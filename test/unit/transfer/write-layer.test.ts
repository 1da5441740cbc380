// Layers become content: chains that do not grow for ever, formats at rest, what readers keep, and
// what a failure or a crash leaves. On a catalog and a storage in memory.

import { randomUUID } from 'node:crypto'
import pino from 'pino'
import { describe, expect, test } from 'vitest'
import type { VdiRow } from '../../../src/catalog/vdis.ts'
import type { FormatName } from '../../../src/format-table.ts'
import { createLayerStore } from '../../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../../src/store/files/memory-folder.ts'
import { openSrStore } from '../../../src/store/files/sr-store.ts'
import { createStorage } from '../../../src/store/storage.ts'
import { requireWritableSr } from '../../../src/transfer/find.ts'
import { createLeases } from '../../../src/transfer/leases.ts'
import { createTransfers } from '../../../src/transfer/transfers.ts'
import { writeLayer } from '../../../src/transfer/write-layer.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { createStartedCatalog } from '../../support/catalogs.ts'
import { expectSameBytes, fillPattern, readAll } from '../../support/disks.ts'
import { undisturbed } from '../../support/work.ts'

const size = 8 * MiB

const start = async (format: FormatName = 'qcow2') => {
  const { catalog, srUuid } = await createStartedCatalog()
  const store = { ...createLayerStore(createMemoryFolder()) }
  const errors: unknown[] = []
  const storage = createStorage({
    catalog,
    onError: (error) => errors.push(error),
  })
  storage.stores.attach(srUuid, store)
  const log = pino({ level: 'silent' })
  const context = { catalog, storage, transfers: createTransfers(4), leases: createLeases(), log }
  const { uuid } = await catalog.vdis.create({ srUuid, virtualSize: size, format })
  const vdi = async (): Promise<VdiRow> => (await catalog.vdis.get(uuid))!

  /** Writes 64 KiB of pattern at `offset` over what is there, as an import does. */
  const write = async (offset: number, seed: number, fail?: Error): Promise<void> => {
    const row = await vdi()
    const below = row.layerUuid === null ? undefined : await storage.contents.open(row.uuid)
    const layer = {
      ...row,
      ...(below === undefined ? {} : { below }),
      work: undisturbed,
      commit: (sealed: { uuid: string; parentUuid: string | null; fileSize: number }) =>
        catalog.layers.commit({ ...sealed, vdiUuid: uuid, expectedLayerUuid: row.layerUuid }),
    }
    try {
      await writeLayer(context, layer, async (writer) => {
        const bytes = new Uint8Array(64 * KiB)
        fillPattern(offset, bytes, seed)
        await writer.write(offset, bytes)
        if (fail !== undefined) throw fail
      })
    } finally {
      await below?.disk.close()
    }
  }
  const read = async (): Promise<Uint8Array> => {
    const { disk } = await storage.contents.open(uuid)
    const bytes = await readAll(disk)
    await disk.close()
    return bytes
  }
  const chain = async () => catalog.layers.chain((await vdi()).layerUuid!)
  const collect = async (): Promise<void> => {
    storage.upkeep.collect(srUuid)
    await storage.upkeep.settled()
  }
  return { catalog, srUuid, store, storage, errors, vdi, write, read, chain, collect }
}

describe('a chain of imports', () => {
  test('never has more than 64 layers, and shows all that was written', async () => {
    const { write, read, chain, collect, catalog, srUuid, errors } = await start()
    const expected = new Uint8Array(size)
    for (let index = 0; index < 70; index += 1) {
      const offset = ((index * 37) % 128) * 64 * KiB
      await write(offset, index + 1)
      fillPattern(offset, expected.subarray(offset, offset + 64 * KiB), index + 1)
      expect((await chain()).length).toBe(index < 64 ? index + 1 : index - 63)
    }
    expectSameBytes(await read(), expected)
    await collect()
    expect(await catalog.layers.list(srUuid)).toHaveLength(6)
    expect(errors).toEqual([])
    expectSameBytes(await read(), expected)
  })

  test.each([
    ['raw', ['raw', 'qcow2', 'qcow2']],
    ['vhd', ['vhd', 'vhd', 'vhd']],
    ['qcow2', ['qcow2', 'qcow2', 'qcow2']],
  ] as const)(
    'at rest as %s lies in layers that can say what they hold',
    async (format, formats) => {
      const { write, chain, read } = await start(format)
      const expected = new Uint8Array(size)
      for (const offset of [0, 64 * KiB, MiB]) {
        await write(offset, 3)
        fillPattern(offset, expected.subarray(offset, offset + 64 * KiB), 3)
      }
      expect((await chain()).map((layer) => layer.format).toReversed()).toEqual(formats)
      expectSameBytes(await read(), expected)
    },
  )
})

describe('a failed import', () => {
  test('leaves the content, and neither row nor file', async () => {
    const { write, read, chain, catalog, srUuid, store } = await start()
    await write(0, 1)
    const before = await read()
    const [top] = await chain()
    await expect(write(MiB, 2, new Error('the client left'))).rejects.toThrow('the client left')
    expectSameBytes(await read(), before)
    const layers = await catalog.layers.list(srUuid)
    expect(layers.map((layer) => layer.uuid)).toEqual([top!.uuid])
    expect((await store.space()).used).toBe(top!.fileSize)
  })
})

describe('where the storage repository cannot be written', () => {
  const away = async (uuid: string) =>
    (await openSrStore({ uuid, path: '/nowhere/diskport', readOnly: false }, '/nowhere')).store

  test('an import leaves no row when the folder is away', async () => {
    const { write, catalog, srUuid, storage } = await start()
    storage.stores.attach(srUuid, await away(srUuid))
    await expect(write(MiB, 2)).rejects.toMatchObject({ code: 'SR_NOT_ATTACHED' })
    expect(await catalog.layers.list(srUuid)).toEqual([])
    await expect(requireWritableSr({ catalog, storage }, srUuid)).rejects.toMatchObject({
      code: 'SR_NOT_ATTACHED',
      message: expect.stringContaining('/nowhere/diskport') as string,
    })
  })

  test('and what was begun cannot be removed, the first failure is told, and the row stays', async () => {
    const { write, catalog, srUuid, storage, store } = await start()
    const whole = { ...store }
    store.removeLayer = () => Promise.reject(new Error('no way'))
    await expect(write(MiB, 2, new Error('the client left'))).rejects.toThrow('the client left')
    expect((await catalog.layers.list(srUuid)).map(({ state }) => state)).toEqual(['writing'])
    Object.assign(store, whole)
    expect(await storage.upkeep.recover()).toBe(1)
    expect(await catalog.layers.list(srUuid)).toEqual([])
  })
})

describe('layers that nothing reaches', () => {
  test('stay while somebody reads them, and go when the reader closes', async () => {
    const { write, storage, vdi, chain, catalog, srUuid, store, collect } = await start()
    await write(0, 1)
    const [old] = await chain()
    const reader = await storage.contents.open((await vdi()).uuid)
    await catalog.vdis.destroy((await vdi()).uuid)
    await collect()
    expect(await catalog.layers.list(srUuid)).toHaveLength(1)
    const bytes = new Uint8Array(64 * KiB)
    await reader.disk.read(0, bytes)
    const expected = new Uint8Array(64 * KiB)
    fillPattern(0, expected, 1)
    expectSameBytes(bytes, expected)
    await reader.disk.close()
    await storage.upkeep.settled()
    expect(await catalog.layers.list(srUuid)).toEqual([])
    await expect(store.openLayer(old!)).rejects.toThrow('the file is missing')
  })
})

describe('recovery', () => {
  test('removes what a crash left half-written, and nothing else', async () => {
    const { write, storage, read, chain, catalog, srUuid, store } = await start()
    await write(0, 1)
    const [top] = await chain()
    const before = await read()
    // As a process leaves it that dies while it writes: a row, and a file in staging.
    const crashed = { uuid: randomUUID(), format: 'qcow2' as const }
    await catalog.layers.begin({
      ...crashed,
      srUuid,
      parentUuid: top!.uuid,
      virtualSize: size,
      createdAt: new Date(),
    })
    await store.createLayer(crashed, { size, timestamp: new Date() })
    // As one leaves it that dies between seal and commit: a row, and a published file.
    const sealed = { uuid: randomUUID(), format: 'vhd' as const }
    const row = { ...sealed, srUuid, parentUuid: null, virtualSize: size, createdAt: new Date() }
    await catalog.layers.begin(row)
    const draft = await store.createLayer(sealed, { size, timestamp: new Date() })
    await draft.seal()

    expect(await storage.upkeep.recover()).toBe(2)
    expect((await catalog.layers.list(srUuid)).map((layer) => layer.uuid)).toEqual([top!.uuid])
    await expect(store.openLayer(sealed)).rejects.toThrow('the file is missing')
    expectSameBytes(await read(), before)
    expect(await storage.upkeep.recover()).toBe(0)
  })
})
