// The real pieces below the server on a folder of their own: a catalog in a file, two storage
// repositories in folders, merging without a rest. They can die at any call and start again.

import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { bootstrap } from '../../src/catalog/bootstrap.ts'
import { createCatalog } from '../../src/catalog/catalog.ts'
import { layerFileName } from '../../src/catalog/layers/layer-file-name.ts'
import type { LayerRow } from '../../src/catalog/layers/layer-row.ts'
import { METADATA_ONLY } from '../../src/catalog/schema.ts'
import type { VdiRow } from '../../src/catalog/vdis.ts'
import type { Disk } from '../../src/disk/disk.ts'
import { openFileFolder } from '../../src/store/files/file-folder.ts'
import { createLayerStore } from '../../src/store/files/layer-store.ts'
import { createStorage } from '../../src/store/storage.ts'
import type { ExportRequest } from '../../src/operations/vdi/open-export.ts'
import { exportVdi } from '../../src/operations/export-vdi.ts'
import { noTask } from '../../src/transfer/with-task.ts'
import { cheapPasswords, createTestSr } from './catalogs.ts'
import { expectSameBytes, readAll } from './disks.ts'
import { unhurried } from './layer-trees.ts'
import type { Held, ModelVdi, ModelVdis } from './model-vdis.ts'
import { heldBy } from './model-vdis.ts'
import { createTestContext } from './operation-context.ts'
import { createLife } from './mortal.ts'
import { qemuImg } from './tools.ts'
import { plannedImage } from './exported.ts'

export interface ModelHostOptions {
  /** Layers that a chain may have where that can be had. */
  readonly maximumDepth: number
  /** Told each time that layers were merged. */
  readonly onMerge?: () => void
}

const start = async (
  folder: string,
  { maximumDepth, onMerge }: ModelHostOptions,
  errors: unknown[],
  callsToLive = Infinity,
) => {
  const life = createLife()
  const opened = await createCatalog(join(folder, 'catalog.db'), { passwordCost: cheapPasswords })
  const { srUuid, hostUuid } = await bootstrap(opened, {
    hostname: 'test',
    rootPassword: 'a long password',
  })
  const others = (await opened.srs.list()).filter(({ uuid }) => uuid !== srUuid)
  const places = [srUuid, others[0]?.uuid ?? (await createTestSr(opened))] as const
  const catalog = life.lend(opened)
  const onError = (error: unknown): void => {
    if (!life.isOver) errors.push(error)
  }
  const coalescing = {
    ...unhurried,
    maximumDepth,
    log: {
      info(_fields: object, message: string) {
        if (message === 'merged layers') onMerge?.()
      },
      error: ({ error }: { error?: unknown }) => onError(error),
    },
  }
  const storage = createStorage({ catalog, onError, coalescing })
  for (const uuid of places) {
    storage.stores.attach(
      uuid,
      createLayerStore(life.lend(await openFileFolder(join(folder, uuid)))),
    )
  }
  life.endAfter(callsToLive)
  try {
    await catalog.tasks.recover()
    await storage.upkeep.recover()
    // What runs in the background may have used up its life meanwhile: it stays dead.
    if (!life.isOver) life.endAfter(Infinity)
  } catch (error) {
    if (!life.isOver) throw error
  }
  const context = createTestContext({ catalog, storage, hostUuid })
  return { life, catalog, storage, context, places, close: () => opened.close() }
}

export const createModelHost = async (options: ModelHostOptions) => {
  const { maximumDepth } = options
  const folder = await mkdtemp(join(tmpdir(), 'diskport-model-'))
  const errors: unknown[] = []
  const uuids = new Map<number, string>()
  /** Digest of the bytes that a tag stood for. */
  const tags = new Map<string, string>()
  let running = await start(folder, options, errors)

  const uuidOf = ({ name }: Pick<ModelVdi, 'name'>): string => uuids.get(name)!
  const rowOf = async (vdi: Pick<ModelVdi, 'name'>): Promise<VdiRow> =>
    (await running.catalog.vdis.get(uuidOf(vdi)))!

  /** All that it shows. */
  const read = async (vdi: ModelVdi): Promise<Uint8Array> => {
    const { disk } = await running.storage.contents.open(uuidOf(vdi))
    try {
      return await readAll(disk)
    } finally {
      await disk.close()
    }
  }

  const expectVdi = async (vdi: ModelVdi): Promise<void> => {
    const { virtualSize, srUuid, isSnapshot, type, snapshotOfUuid } = await rowOf(vdi)
    expect({ virtualSize, srUuid, isSnapshot, snapshotOfUuid, type }).toEqual({
      virtualSize: vdi.bytes.length,
      srUuid: running.places[vdi.place],
      isSnapshot: vdi.isSnapshot,
      snapshotOfUuid: vdi.snapshotOf === null ? null : uuids.get(vdi.snapshotOf),
      type: vdi.hasData ? 'user' : METADATA_ONLY,
    })
    if (vdi.hasData) expectSameBytes(await read(vdi), vdi.bytes, `VDI ${vdi.name}`)
  }

  const expectAll = async (vdis: ModelVdis): Promise<void> => {
    const rows = await running.catalog.vdis.list()
    expect(rows.map(({ uuid }) => uuid).toSorted()).toEqual(vdis.map(uuidOf).toSorted())
    for (const vdi of vdis) await expectVdi(vdi)
  }

  /** Disks that stay open while other things happen. */
  const readers: { readonly disk: Disk; readonly bytes: Uint8Array }[] = []
  const closeReaders = async (): Promise<void> => {
    for (const { disk } of readers.splice(0)) await disk.close()
  }

  const settle = async (): Promise<void> => {
    for (const srUuid of running.places) await running.storage.upkeep.collectNow(srUuid)
    await running.storage.upkeep.settled()
  }

  const die = async (): Promise<void> => {
    const { life, storage, close } = running
    life.endAfter(0)
    await closeReaders()
    storage.upkeep.stop()
    await storage.upkeep.settled()
    await life.idle()
    await close()
  }

  return {
    get context() {
      return running.context
    },
    get places() {
      return running.places
    },
    get life() {
      return running.life
    },
    uuidOf,
    rowOf,
    named: (name: number, uuid: string) => void uuids.set(name, uuid),
    expectVdi,
    expectAll,
    settle,

    /** Opens a VDI; what it shows now is read when all comes to order. */
    async beginReading(vdi: ModelVdi): Promise<void> {
      if (readers.length >= 4) return
      const { disk } = await running.storage.contents.open(uuidOf(vdi))
      readers.push({ disk, bytes: vdi.bytes })
    },

    /** The VDIs that no name stands for. */
    unnamed: async (): Promise<string[]> => {
      const known = new Set(uuids.values())
      const rows = await running.catalog.vdis.list()
      return rows.map(({ uuid }) => uuid).filter((uuid) => !known.has(uuid))
    },

    /** The image; a tag that was seen before must stand for the same bytes. */
    exportImage: async (request: ExportRequest): Promise<Uint8Array> => {
      let bytes = new Uint8Array()
      await exportVdi(running.context, request, noTask, async (ready) => {
        const { etag, verify } = ready
        bytes = new Uint8Array(await readAll(plannedImage(ready), 300_007))
        await verify()
        const digest = createHash('sha256').update(bytes).digest('hex')
        const known = tags.get(etag) ?? digest
        tags.set(etag, digest)
        if (known !== digest) throw new Error(`The tag ${etag} stands for two images`)
      })
      return bytes
    },

    /** What a copy of the VDI on top of the other writes, by the maps. */
    delta: async (vdi: ModelVdi, base: ModelVdi): Promise<Held[]> => {
      const { disk } = await running.storage.contents.openDelta(uuidOf(vdi), uuidOf(base), {
        narrow: 'never',
      })
      try {
        return await heldBy(disk)
      } finally {
        await disk.close()
      }
    },

    /** Everything in its place when nothing runs: rows, files, chains, sums. */
    async expectOrder(vdis: ModelVdis): Promise<void> {
      await settle()
      for (const { disk, bytes } of readers) {
        expectSameBytes(await readAll(disk), bytes, 'a disk that was open for long')
      }
      await closeReaders()
      await settle()
      expect(errors).toEqual([])
      const { catalog, places } = running
      for (const [place, srUuid] of places.entries()) {
        const layers = await catalog.layers.list(srUuid)
        expect(await readdir(join(folder, srUuid, 'staging'))).toEqual([])
        await expectFiles(join(folder, srUuid), layers)
        const reached = new Set<string>()
        for (const vdi of vdis.filter((vdi) => vdi.place === place)) {
          const { layerUuid } = await rowOf(vdi)
          if (layerUuid === null) continue
          for (const { uuid } of await catalog.layers.chain(layerUuid)) reached.add(uuid)
        }
        expect(
          layers.filter(({ uuid, state }) => state !== 'sealed' || !reached.has(uuid)),
        ).toEqual([])
        const limits = { maximumDepth, postponed: new Set<string>() }
        expect(await catalog.coalescing.nextRun(srUuid, limits)).toBeUndefined()
        const { virtualAllocation } = await catalog.utilisation.ofSr(srUuid)
        const sizes = vdis.filter((vdi) => vdi.place === place).map(({ bytes }) => bytes.length)
        expect(virtualAllocation).toBe(sizes.reduce((sum, size) => sum + size, 0))
      }
    },

    /** By qemu-img each QCOW2 file is sound, and a chain of them shows what the VDI shows. */
    async expectQemuAgrees(vdis: ModelVdis): Promise<void> {
      const { catalog, places } = running
      for (const srUuid of places) {
        for (const layer of await catalog.layers.list(srUuid)) {
          if (layer.format !== 'qcow2' || !layer.hasData) continue
          await qemuImg('check', '-f', 'qcow2', join(folder, srUuid, layerFileName(layer)))
        }
      }
      for (const vdi of vdis.filter(({ hasData }) => hasData)) {
        const { layerUuid, srUuid } = await rowOf(vdi)
        const chain = layerUuid === null ? [] : await catalog.layers.chain(layerUuid)
        // qemu-img knows no chains of VHD.
        if (chain.length === 0 || chain.some(({ format }) => format === 'vhd')) continue
        const { format, virtualSize } = chain[0]!
        const expected = join(folder, 'expected.raw')
        await writeFile(expected, vdi.bytes.subarray(0, virtualSize))
        const top = join(folder, srUuid, layerFileName(chain[0]!))
        await qemuImg('compare', '-f', format, '-F', 'raw', top, expected)
      }
    },

    /**
     * The process dies now, if it has not yet, and starts again.
     * @param callsToLive given: that start dies too after so many calls, unless it is done, and
     *   there is one more
     */
    async restart(callsToLive?: number): Promise<void> {
      await die()
      running = await start(folder, options, errors, callsToLive)
      if (!running.life.isOver) return
      await die()
      running = await start(folder, options, errors)
    },

    async remove(): Promise<void> {
      await closeReaders()
      running.storage.upkeep.stop()
      await running.storage.upkeep.settled()
      await running.close()
      await rm(folder, { recursive: true })
    },
  }
}

export type ModelHost = Awaited<ReturnType<typeof createModelHost>>

/**
 * A file for each row and a row for each file; a map where there is no data, or no other place for
 * it.
 */
const expectFiles = async (folder: string, layers: readonly LayerRow[]): Promise<void> => {
  const files = (await readdir(folder)).filter((name) => name !== 'staging')
  const isMap = (name: string): boolean => name.endsWith('.map.json')
  const withData = layers.filter(({ hasData }) => hasData).map(layerFileName)
  expect(files.filter((name) => !isMap(name)).toSorted()).toEqual(withData.toSorted())
  const maps = files.filter(isMap).map((name) => name.slice(0, -'.map.json'.length))
  const names = layers.map(layerFileName)
  expect(maps.filter((name) => !names.includes(name))).toEqual([])
  const needed = layers.filter(({ hasData, format }) => !hasData || format === 'raw')
  expect(needed.map(layerFileName).filter((name) => !maps.includes(name))).toEqual([])
}
