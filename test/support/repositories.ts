// Storage repositories that come and go: one in memory, to which others are added in folders.

import { randomUUID } from 'node:crypto'
import { onTestFinished } from 'vitest'
import type { SrRow } from '../../src/catalog/srs.ts'
import { createSr } from '../../src/operations/create-sr.ts'
import { createLayerStore } from '../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../src/store/files/memory-folder.ts'
import { createStorage } from '../../src/store/storage.ts'
import type { CoalescingOptions } from '../../src/store/upkeep/coalescer.ts'
import { writeContent } from '../../src/transfer/write-layer.ts'
import { KiB, MiB } from '../../src/units.ts'
import { createStartedCatalog } from './catalogs.ts'
import { createTestContext } from './operation-context.ts'
import { createRawSource } from './sources.ts'
import { createTestFolder } from './tools.ts'
import { undisturbed } from './work.ts'

/** Virtual size of the disks. */
const size = MiB

export const createTestRepositories = async (coalescing?: CoalescingOptions) => {
  const { catalog, srUuid, hostUuid } = await createStartedCatalog()
  const errors: unknown[] = []
  const storage = createStorage({
    catalog,
    onError: (error) => errors.push(error),
    ...(coalescing && { coalescing }),
  })
  onTestFinished(async () => {
    storage.upkeep.stop()
    await storage.upkeep.settled()
  })
  storage.stores.attach(srUuid, createLayerStore(createMemoryFolder()))
  const dataFolder = await createTestFolder()
  const context = createTestContext({ catalog, storage, hostUuid, dataFolder })
  const sr = async (uuid: string): Promise<SrRow> => (await catalog.srs.get(uuid))!

  /** One more, on a folder; `deviceConfig` without a location: in the data folder. */
  const create = async (deviceConfig: Record<string, string>): Promise<SrRow> => {
    const uuid = await createSr(context, {
      hostUuid,
      nameLabel: 'another',
      nameDescription: '',
      type: 'file',
      contentType: 'user',
      shared: false,
      deviceConfig,
      smConfig: {},
      mayNameAny: true,
    })
    return sr(uuid)
  }

  return {
    context,
    hostUuid,
    catalog,
    storage,
    srUuid,
    /** What failed in the background. */
    errors,
    sr,

    create,

    /** One more, on a folder with a raw image of 4 KiB. */
    createOnFolder: async (deviceConfig: Record<string, string> = {}) => {
      const folder = await createTestFolder()
      const vdi = randomUUID()
      await createRawSource(folder, `${vdi}.raw`, { size: 4096, parts: [[0, 512]] })
      return { sr: await create({ location: folder, ...deviceConfig }), folder, vdi }
    },

    createVdi: async (): Promise<string> =>
      (await catalog.vdis.create({ srUuid, virtualSize: size, format: 'qcow2' })).uuid,

    /** One more layer. */
    write: async (vdiUuid: string): Promise<void> => {
      const vdi = (await catalog.vdis.get(vdiUuid))!
      await writeContent(context, vdi, { keepsContent: true, work: undisturbed }, (writer) =>
        writer.write(0, new Uint8Array(64 * KiB).fill(1)),
      )
    },

    /** A layer that is being written, as an import begins one; its uuid. */
    begin: async (srUuid: string): Promise<string> => {
      const uuid = randomUUID()
      const layer = { uuid, srUuid, parentUuid: null, format: 'qcow2', virtualSize: size } as const
      await catalog.layers.begin({ ...layer, createdAt: new Date() })
      return uuid
    },

    /** The uuids of its layers. */
    layers: async (srUuid: string): Promise<string[]> =>
      (await catalog.layers.list(srUuid)).map(({ uuid }) => uuid),
  }
}
