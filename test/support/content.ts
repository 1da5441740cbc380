// VDIs with content in memory: two storage repositories, and the ways to write into a disk and to
// look at it.

import type { FormatName } from '../../src/format-table.ts'
import type { VdiRow } from '../../src/catalog/vdis.ts'
import { createLayerStore } from '../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../src/store/files/memory-folder.ts'
import { createStorage } from '../../src/store/storage.ts'
import type { Store } from '../../src/store/files/store.ts'
import { writeContent } from '../../src/transfer/write-layer.ts'
import { KiB, MiB } from '../../src/units.ts'
import { createStartedCatalog, createTestSr } from './catalogs.ts'
import { createTestContext } from './operation-context.ts'
import { fillPattern, readAll } from './disks.ts'
import { undisturbed } from './work.ts'

/** Virtual size of the disks. */
export const diskSize = 4 * MiB

export interface ContentOptions {
  /** At rest, of the disks that are made. */
  readonly format?: FormatName
  /** Stands around the stores, to break them. */
  readonly wrap?: (store: Store) => Store
}

export const createTestContent = async ({
  format = 'qcow2',
  wrap = (store) => store,
}: ContentOptions = {}) => {
  const { catalog, srUuid, hostUuid } = await createStartedCatalog()
  const otherSrUuid = await createTestSr(catalog)
  const errors: unknown[] = []
  const storage = createStorage({ catalog, onError: (error) => errors.push(error) })
  for (const uuid of [srUuid, otherSrUuid]) {
    storage.stores.attach(uuid, wrap(createLayerStore(createMemoryFolder())))
  }
  const context = createTestContext({ catalog, storage, hostUuid })

  const get = async (uuid: string): Promise<VdiRow> => (await catalog.vdis.get(uuid))!
  return {
    context,
    catalog,
    storage,
    srUuid,
    otherSrUuid,
    errors,
    get,

    /** An empty disk; its uuid. */
    create: async (more: Partial<VdiRow> = {}): Promise<string> =>
      (await catalog.vdis.create({ srUuid, virtualSize: diskSize, format, ...more })).uuid,

    /** Writes a pattern as an import does, by default 64 KiB. */
    write: async (uuid: string, offset: number, seed: number, length = 64 * KiB): Promise<void> => {
      const bytes = new Uint8Array(length)
      fillPattern(offset, bytes, seed)
      await writeContent(
        context,
        await get(uuid),
        { keepsContent: true, work: undisturbed },
        (writer) => writer.write(offset, bytes),
      )
    },

    /** Empties a stretch as an import does. */
    zero: async (uuid: string, offset: number, length: number): Promise<void> =>
      writeContent(context, await get(uuid), { keepsContent: true, work: undisturbed }, (writer) =>
        writer.zero(offset, length),
      ),

    /** All that the disk shows. */
    read: async (uuid: string): Promise<Uint8Array> => {
      const { disk } = await storage.contents.open(uuid)
      try {
        return await readAll(disk)
      } finally {
        await disk.close()
      }
    },

    /** How many bytes a delta export of the disk on `base` would have to send. */
    deltaBytes: async (uuid: string, base: string): Promise<number> => {
      const { disk } = await storage.contents.openDelta(uuid, base, { narrow: 'never' })
      let bytes = 0
      for await (const { kind, length } of disk.extents()) if (kind !== 'hole') bytes += length
      await disk.close()
      return bytes
    },

    /** The formats of the layers that the disk lies in, top first. */
    formats: async (uuid: string): Promise<FormatName[]> => {
      const { layerUuid } = await get(uuid)
      if (layerUuid === null) return []
      return (await catalog.layers.chain(layerUuid)).map((layer) => layer.format)
    },

    /** What is left of layers in both repositories once nothing runs in the background. */
    layers: async (): Promise<{ here: number; there: number }> => {
      await storage.upkeep.settled()
      const count = async (uuid: string) => (await catalog.layers.list(uuid)).length
      return { here: await count(srUuid), there: await count(otherSrUuid) }
    },
  }
}

export type TestContent = Awaited<ReturnType<typeof createTestContent>>

/** Stores in which `act` comes before each write into a layer. */
export const wrapWriting =
  (act: () => Promise<void>) =>
  (store: Store): Store => ({
    ...store,
    createLayer: async (layer, options) => {
      const draft = await store.createLayer(layer, options)
      return {
        size: draft.size,
        write: async (offset, source, signal) => {
          await act()
          await draft.write(offset, source, signal)
        },
        zero: (offset, length, signal) => draft.zero(offset, length, signal),
        seal: () => draft.seal(),
        abort: () => draft.abort(),
      }
    },
  })
