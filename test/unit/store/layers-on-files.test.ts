// What becomes of files that others wrote when diskport writes on top of them: merges, imports, moves.

import { randomUUID } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import type { VdiRow } from '../../../src/catalog/vdis.ts'
import { openFileFolder } from '../../../src/store/file-folder.ts'
import { createLayerStore } from '../../../src/store/layer-store.ts'
import { createStorage } from '../../../src/store/storage.ts'
import type { Store } from '../../../src/store/store.ts'
import { createLeases } from '../../../src/transfer/leases.ts'
import { createTransfers } from '../../../src/transfer/transfers.ts'
import { writeContent } from '../../../src/transfer/write-layer.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { createStartedCatalog } from '../../support/catalogs.ts'
import { readAll } from '../../support/disks.ts'
import { createRawSource } from '../../support/sources.ts'
import { writeVhd } from '../../support/sr-folder.ts'
import { createTestFolder } from '../../support/tools.ts'

const log = pino({ level: 'silent' })

const start = async (wrap: (store: Store) => Store = (store) => store) => {
  const { catalog, srUuid } = await createStartedCatalog()
  const folder = await createTestFolder()
  const storage = createStorage({
    catalog,
    onError: (error) => {
      throw error
    },
    coalescing: {
      maximumDepth: 2,
      pace: { take: async () => {} },
      log: { info: () => {}, error: () => {} },
    },
  })
  onTestFinished(() => storage.settled())
  storage.attach(srUuid, wrap(createLayerStore(await openFileFolder(folder))))
  const context = { catalog, storage, transfers: createTransfers(4), leases: createLeases(), log }
  const vdi = async (uuid: string): Promise<VdiRow> => (await catalog.vdis.get(uuid))!
  return {
    catalog,
    srUuid,
    folder,
    storage,
    context,
    vdi,
    scan: () => storage.files.scan(srUuid),
    read: async (uuid: string): Promise<Uint8Array> => {
      const { disk } = await storage.openVdi(await vdi(uuid))
      const bytes = await readAll(disk)
      await disk.close()
      return bytes
    },
    write: async (uuid: string, value: number, keepsContent = true): Promise<void> => {
      const bytes = new Uint8Array(64 * KiB).fill(value)
      await writeContent(context, await vdi(uuid), { keepsContent }, (writer) =>
        writer.write(value * MiB, bytes),
      )
    },
  }
}

test('layers merged onto a file of others are found again when they are forgotten', async () => {
  const { catalog, srUuid, folder, storage, vdi, scan, read, write } = await start()
  const file = await writeVhd(folder)
  await scan()
  for (const value of [1, 2, 3, 4]) await write(file.uuid, value)
  await storage.settled()
  const { layerUuid } = await vdi(file.uuid)
  const chain = await catalog.layers.chain(layerUuid!)
  expect(chain).toHaveLength(2)
  const content = await read(file.uuid)
  await catalog.forget.vdi(file.uuid)
  const { added, problems } = await storage.files.scan(srUuid)
  expect([...problems]).toEqual([])
  expect(added).toEqual([layerUuid])
  expect(Buffer.from(await read(layerUuid!)).equals(content)).toBe(true)
})

test('a file that changes while two disks are compared is compared as it is then', async () => {
  let beforeOpening = async (): Promise<void> => {}
  const on = await start((store) => ({
    ...store,
    async openLayer(layer) {
      await beforeOpening()
      return store.openLayer(layer)
    },
  }))
  const [a, b] = [randomUUID(), randomUUID()]
  for (const uuid of [a, b]) {
    await createRawSource(on.folder, `${uuid}.raw`, { size: MiB, parts: [[0, 4096]] })
  }
  await on.scan()
  beforeOpening = async () => {
    beforeOpening = async () => {}
    await using file = await open(join(on.folder, `${a}.raw`), 'r+')
    await file.write(Buffer.alloc(4096, 7), 0, 4096, 512 * KiB)
  }
  const { map } = await on.storage.deltas.changes(await on.vdi(a), await on.vdi(b), {
    narrow: 'always',
  })
  const changed = [...map.runs()].filter(({ kind }) => kind === 'data')
  expect(changed.map(({ offset }) => offset)).toEqual([512 * KiB])
})
