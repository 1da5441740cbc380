// Trees of layers as imports and snapshots make them, on a catalog and a storage of the test's own:
// for tests of what merging layers and destroying data leave as it was.

import { createHash, randomUUID } from 'node:crypto'
import pino from 'pino'
import { onTestFinished } from 'vitest'
import type { Catalog } from '../../src/catalog/catalog.ts'
import type { NewVdi, VdiRow } from '../../src/catalog/vdis.ts'
import type { FormatName } from '../../src/format-table.ts'
import type { ImageIdentity, PlanOptions } from '../../src/formats/format.ts'
import { formats } from '../../src/formats/registry.ts'
import type { CoalescingOptions } from '../../src/store/upkeep/coalescer.ts'
import type { LayerFolder } from '../../src/store/files/layer-folder.ts'
import { createLayerStore } from '../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../src/store/files/memory-folder.ts'
import type { Storage } from '../../src/store/storage.ts'
import { createStorage } from '../../src/store/storage.ts'
import { createLeases } from '../../src/transfer/leases.ts'
import { createTransfers } from '../../src/transfer/transfers.ts'
import { writeLayer } from '../../src/transfer/write-layer.ts'
import { createStartedCatalog } from './catalogs.ts'
import { fillPattern, readAll } from './disks.ts'
import { undisturbed } from './work.ts'

export interface TreeWrite {
  readonly kind: 'data' | 'zero'
  readonly offset: number
  readonly length: number
}

/** No bound on the speed, and no word in the log. */
export const unhurried: Omit<CoalescingOptions, 'maximumDepth'> = {
  pace: { take: async () => {} },
  log: { info: () => {}, error: () => {} },
  later: () => () => {},
}

export const createLayerTree = async (folder: LayerFolder = createMemoryFolder()) => {
  const { catalog, srUuid } = await createStartedCatalog()
  const errors: unknown[] = []

  /** The storage as after a start of the server: nothing is cached. */
  const openStorage = (
    coalescing?: CoalescingOptions,
    {
      catalog: seen = catalog,
      folder: place = folder,
    }: { catalog?: Catalog; folder?: LayerFolder } = {},
  ): Storage => {
    const storage = createStorage({
      catalog: seen,
      onError: (error) => errors.push(error),
      ...(coalescing && { coalescing }),
    })
    storage.stores.attach(srUuid, createLayerStore(place))
    onTestFinished(async () => {
      storage.upkeep.stop()
      await storage.upkeep.settled()
    })
    return storage
  }
  const storage = openStorage()

  /** A new top layer, as an import makes it; each has a pattern of its own. */
  let seed = 0
  const write = async (
    vdiUuid: string,
    writes: readonly TreeWrite[],
    on = storage,
  ): Promise<number> => {
    seed += 1
    const row = (await catalog.vdis.get(vdiUuid))!
    const below = row.layerUuid === null ? undefined : await on.contents.open(row.uuid)
    const context = {
      catalog,
      storage: on,
      transfers: createTransfers(4),
      leases: createLeases(),
      log: pino({ level: 'silent' }),
    }
    const layer = {
      ...row,
      ...(below && { below }),
      work: undisturbed,
      commit: (sealed: { uuid: string; parentUuid: string | null; fileSize: number }) =>
        catalog.layers.commit({ ...sealed, vdiUuid, expectedLayerUuid: row.layerUuid }),
    }
    try {
      await writeLayer(context, layer, async (writer) => {
        for (const { kind, offset, length } of writes) {
          const bytes = new Uint8Array(length)
          fillPattern(offset, bytes, seed)
          if (kind === 'zero') await writer.zero(offset, length)
          else await writer.write(offset, bytes)
        }
      })
    } finally {
      await below?.disk.close()
    }
    return seed
  }

  const createVdi = async (virtualSize: number, format: FormatName): Promise<string> =>
    (await catalog.vdis.create({ srUuid, virtualSize, format })).uuid

  /** Another VDI with the same content: a snapshot, or whatever `changes` make it. */
  const copyOf = async (vdiUuid: string, changes: Partial<NewVdi> = {}): Promise<string> => {
    const { virtualSize, format, layerUuid, contentUuid, contentAt } =
      (await catalog.vdis.get(vdiUuid))!
    const content = { virtualSize, format, layerUuid, contentUuid, contentAt }
    const snapshot = { isSnapshot: true, snapshotOfUuid: vdiUuid, snapshotTime: new Date() }
    const row = { srUuid, uuid: randomUUID(), ...content, ...snapshot, ...changes }
    return (await catalog.vdis.create(row)).uuid
  }

  const vdi = async (uuid: string): Promise<VdiRow> => (await catalog.vdis.get(uuid))!
  const depth = async (uuid: string): Promise<number> => {
    const { layerUuid } = await vdi(uuid)
    return layerUuid === null ? 0 : (await catalog.layers.chain(layerUuid)).length
  }
  return {
    catalog,
    srUuid,
    folder,
    errors,
    storage,
    openStorage,
    write,
    createVdi,
    copyOf,
    vdi,
    depth,
  }
}

export type LayerTree = Awaited<ReturnType<typeof createLayerTree>>

/** Collects, merges, and returns when nothing is left to do. */
export const settle = async (storage: Storage, srUuid: string): Promise<void> => {
  await storage.upkeep.collectNow(srUuid)
  await storage.upkeep.settled()
}

const identityOf = (vdi: VdiRow, base?: VdiRow): ImageIdentity => {
  const of = ({ uuid, contentAt, createdAt }: VdiRow) => ({
    uuid,
    timestamp: contentAt ?? createdAt,
  })
  return { ...of(vdi), ...(base && { base: of(base) }) }
}

const planned = async (
  storage: Storage,
  format: FormatName,
  options: PlanOptions,
  vdi: VdiRow,
  base?: VdiRow,
): Promise<Uint8Array> => {
  const { contents } = storage
  const { disk } = await (base === undefined
    ? contents.open(vdi.uuid)
    : contents.openDelta(vdi.uuid, base.uuid, { narrow: 'never' }))
  const image = await formats[format].plan(disk, identityOf(vdi, base), options)
  const bytes = await readAll(image)
  await image.close()
  return bytes
}

/** Digests of all images that can be exported of these VDIs, by what they are. */
export const exportAll = async (
  tree: LayerTree,
  storage: Storage,
  uuids: readonly string[],
): Promise<Record<string, string>> => {
  const digests: Record<string, string> = {}
  const add = (name: string, bytes: Uint8Array): void => {
    digests[name] = createHash('sha256').update(bytes).digest('hex')
  }
  for (const [index, uuid] of uuids.entries()) {
    const vdi = await tree.vdi(uuid)
    for (const format of ['raw', 'vhd', 'qcow2'] as const) {
      add(`${index} ${format}`, await planned(storage, format, {}, vdi))
    }
    for (const [baseIndex, baseUuid] of uuids.entries()) {
      if (baseUuid === uuid) continue
      const base = await tree.vdi(baseUuid)
      const name = `${index} on ${baseIndex}`
      add(`${name} vhd`, await planned(storage, 'vhd', {}, vdi, base))
      add(`${name} qcow2`, await planned(storage, 'qcow2', {}, vdi, base))
      add(`${name} compact`, await planned(storage, 'qcow2', { delta: 'compact' }, vdi, base))
    }
  }
  return digests
}

/** All that the VDI shows. */
export const readVdi = async (storage: Storage, vdi: VdiRow): Promise<Uint8Array> => {
  const { disk } = await storage.contents.open(vdi.uuid)
  try {
    return await readAll(disk)
  } finally {
    await disk.close()
  }
}
