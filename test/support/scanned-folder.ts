// A folder as others leave it, scanned into a catalog in memory: for tests of scans.

import { randomUUID } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { openFileFolder } from '../../src/store/files/file-folder.ts'
import { createLayerStore } from '../../src/store/files/layer-store.ts'
import { createStorage } from '../../src/store/storage.ts'
import { KiB } from '../../src/units.ts'
import { createStartedCatalog } from './catalogs.ts'
import { readAll } from './disks.ts'
import { createRawSource } from './sources.ts'
import { createTestFolder } from './tools.ts'

/** A folder that a catalog in memory has for its storage repository, nothing scanned yet. */
export const createScannedFolder = async () => {
  const { catalog, srUuid } = await createStartedCatalog()
  const folder = await createTestFolder()
  const storage = createStorage({
    catalog,
    onError: (error) => {
      throw error
    },
  })
  onTestFinished(() => storage.upkeep.settled())
  storage.stores.attach(srUuid, createLayerStore(await openFileFolder(folder)))
  const scan = () => storage.scanner.scan(srUuid)
  const names = async () => (await catalog.vdis.list()).map((vdi) => vdi.nameLabel).toSorted()
  const vdi = async (uuid: string) => (await catalog.vdis.get(uuid))!
  const read = async (uuid: string): Promise<Uint8Array> => {
    const { disk, verify } = await storage.contents.open(uuid)
    try {
      const bytes = await readAll(disk)
      await verify()
      return bytes
    } finally {
      await disk.close()
    }
  }
  const raw = (options = {}) =>
    createRawSource(folder, `${randomUUID()}.raw`, {
      size: 64 * KiB,
      parts: [[0, 4096]],
      ...options,
    })
  return { catalog, srUuid, folder, storage, scan, names, vdi, read, raw }
}

/** Of the name of an image file. */
export const uuidIn = (path: string): string => /([0-9a-f-]{36})\.\w+$/.exec(path)![1]!
