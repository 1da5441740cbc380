// VDIs on a catalog and a storage in memory, written, cloned, exported and imported as the server
// does, with a record of the layers that were opened for it.

import type { VdiRow } from '../../src/catalog/vdis.ts'
import type { DiskWriter } from '../../src/disk/disk.ts'
import type { FormatName } from '../../src/format-table.ts'
import { createLayerStore } from '../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../src/store/files/memory-folder.ts'
import { createStorage } from '../../src/store/storage.ts'
import type { Store } from '../../src/store/files/store.ts'
import type { ReadyExport } from '../../src/operations/vdi/ready-export.ts'
import type { ExportRequest } from '../../src/operations/vdi/open-export.ts'
import { exportVdi } from '../../src/operations/export-vdi.ts'
import { importVdi } from '../../src/operations/import-vdi.ts'
import { noTask } from '../../src/transfer/with-task.ts'
import { writeLayer } from '../../src/transfer/write-layer.ts'
import { KiB } from '../../src/units.ts'
import { createTestContext } from './operation-context.ts'
import { createStartedCatalog } from './catalogs.ts'
import { cutInChunks, fillPattern, readAll } from './disks.ts'
import { undisturbed } from './work.ts'
import { plannedImage } from './exported.ts'

/**
 * A stretch that is written: with the pattern of `seed`; without one, zeros that are marked as
 * such.
 */
export interface TestWrite {
  readonly offset: number
  readonly length: number
  readonly seed?: number
}

export const createTestStorage = async (wrap: (store: Store) => Store = (store) => store) => {
  const { catalog, srUuid, hostUuid } = await createStartedCatalog()
  /** Uuids of the layers, one for each time. */
  const opened: string[] = []
  const store = wrap(createLayerStore(createMemoryFolder()))
  const storage = createStorage({ catalog, onError: () => {} })
  const watched: Store = {
    ...store,
    openLayer(layer) {
      opened.push(layer.uuid)
      return store.openLayer(layer)
    },
  }
  storage.stores.attach(srUuid, watched)
  const context = createTestContext({ catalog, storage, hostUuid })
  const vdi = async (uuid: string): Promise<VdiRow> => (await catalog.vdis.get(uuid))!

  /** A new layer on top of the VDI's content. */
  const write = async (
    uuid: string,
    put: readonly TestWrite[] | ((writer: DiskWriter) => Promise<void>),
  ): Promise<void> => {
    const row = await vdi(uuid)
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
        if (typeof put === 'function') return put(writer)
        for (const stretch of put) await writeStretch(writer, stretch)
      })
    } finally {
      await below?.disk.close()
    }
  }

  return {
    catalog,
    srUuid,
    storage,
    context,
    opened,
    vdi,
    write,
    createVdi: async (virtualSize: number, format: FormatName = 'qcow2'): Promise<string> =>
      (await catalog.vdis.create({ srUuid, virtualSize, format })).uuid,
    /** A VDI with the content that the other has now. */
    clone: async (uuid: string, more: Partial<VdiRow> = {}): Promise<string> => {
      const { format, virtualSize, layerUuid, contentUuid, contentAt } = await vdi(uuid)
      const content = { format, virtualSize, layerUuid, contentUuid, contentAt }
      return (await catalog.vdis.create({ srUuid, ...content, ...more })).uuid
    },
    /** All that the VDI shows. */
    read: async (uuid: string): Promise<Uint8Array> => {
      const { disk } = await storage.contents.open(uuid)
      const bytes = await readAll(disk)
      await disk.close()
      return bytes
    },
    /** The image and its ETag. */
    exportImage: async (request: ExportRequest) => {
      let exported: { bytes: Uint8Array; etag: string } | undefined
      const deliver = async (ready: ReadyExport): Promise<void> => {
        const bytes = await readAll(plannedImage(ready), 300_007)
        exported = { bytes, etag: ready.etag }
      }
      await exportVdi(context, request, noTask, deliver)
      return exported!
    },
    importImage: (vdiUuid: string, formatName: FormatName, bytes: Uint8Array) =>
      importVdi(
        context,
        { target: { vdiUuid }, formatName, replace: false, chunked: false },
        noTask,
        {
          length: bytes.length,
          accept: () => cutInChunks(bytes, [64 * KiB]),
        },
      ),
  }
}

export type TestStorage = Awaited<ReturnType<typeof createTestStorage>>

const writeStretch = async (
  writer: DiskWriter,
  { offset, length, seed }: TestWrite,
): Promise<void> => {
  if (seed === undefined) return writer.zero(offset, length)
  const bytes = new Uint8Array(length)
  fillPattern(offset, bytes, seed)
  await writer.write(offset, bytes)
}
