// Merging in the background: beside readers and imports, at a pace, and when it fails or is
// stopped.

import { describe, expect, test } from 'vitest'
import { AppError } from '../../../../src/errors.ts'
import type { CoalescingOptions } from '../../../../src/store/upkeep/coalescer.ts'
import type { LayerFolder } from '../../../../src/store/files/layer-folder.ts'
import { createLayerStore } from '../../../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../../../src/store/files/memory-folder.ts'
import { openSrStore } from '../../../../src/store/files/sr-store.ts'
import { KiB, MiB } from '../../../../src/units.ts'
import { expectSameBytes, readAll } from '../../../support/disks.ts'
import { createLayerTree, readVdi, settle, unhurried } from '../../../support/layer-trees.ts'
import { within } from '../../../support/wait.ts'

const size = 4 * MiB

const start = async (count: number, folder: LayerFolder = createMemoryFolder()) => {
  const tree = await createLayerTree(folder)
  const uuid = await tree.createVdi(size, 'qcow2')
  for (let index = 0; index < count; index += 1) {
    await tree.write(uuid, [{ kind: 'data', offset: index * 128 * KiB, length: 256 * KiB }])
  }
  const shown = await readVdi(tree.storage, await tree.vdi(uuid))
  const open = (more: Partial<CoalescingOptions> = {}) =>
    tree.openStorage({ ...unhurried, maximumDepth: 2, ...more })
  const tasks = async () =>
    (await tree.catalog.tasks.list()).map(({ status, result, errorInfo }) => [
      status,
      result || errorInfo[0],
    ])
  return { ...tree, tree, uuid, shown, open, tasks }
}

/** A pace that says when it is asked, and lets nothing through until it is opened. */
const createGate = () => {
  let reached = (): void => {}
  const atGate = new Promise<void>((resolve) => (reached = resolve))
  let openGate = (): void => {}
  const opened = new Promise<void>((resolve) => (openGate = resolve))
  const pace = {
    async take(_bytes: number, signal: AbortSignal) {
      reached()
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error))
        if (signal.aborted) reject(signal.reason as Error)
      })
      await Promise.race([opened, aborted])
    },
  }
  return { pace, atGate, open: () => openGate() }
}

describe('merging', () => {
  test('leaves the name of what a delta sends, where layers met side by side', async () => {
    const { open, srUuid, depth, uuid, vdi, tree } = await start(6)
    const base = await tree.createVdi(size, 'qcow2')
    const storage = open()
    const basis = async (): Promise<string> => {
      const [row, baseRow] = [await vdi(uuid), await vdi(base)]
      const { disk, basis } = await storage.contents.openDelta(row.uuid, baseRow.uuid, {
        narrow: 'small',
      })
      await disk.close()
      return basis
    }
    const before = await basis()
    await settle(storage, srUuid)
    expect(await depth(uuid)).toBe(2)
    expect(await basis()).toBe(before)
  })

  test('brings the chain to the limit, as a task with its outcome', async () => {
    const { open, srUuid, depth, uuid, shown, vdi, tasks } = await start(6)
    const storage = open()
    await settle(storage, srUuid)
    expect(await depth(uuid)).toBe(2)
    expectSameBytes(await readVdi(storage, await vdi(uuid)), shown)
    expect(await tasks()).toEqual([['success', expect.stringMatching(/^<value>-?\d+<\/value>$/)]])
  })

  test('leaves snapshots what they name', async () => {
    const { open, srUuid, depth, uuid, copyOf, write, catalog } = await start(3)
    const snapshot = await copyOf(uuid)
    const named = (await catalog.vdis.get(snapshot))!.layerUuid
    await write(uuid, [{ kind: 'data', offset: 0, length: 64 * KiB }])
    await settle(open({ maximumDepth: 1 }), srUuid)
    expect((await catalog.vdis.get(snapshot))!.layerUuid).toBe(named)
    expect([await depth(snapshot), await depth(uuid)]).toEqual([1, 2])
  })

  test('a reader that began before it reads on, and its layers stay until it is done', async () => {
    const { open, srUuid, uuid, shown, catalog, depth } = await start(5)
    const storage = open()
    const reader = await storage.contents.open(uuid)
    await settle(storage, srUuid)
    expect(await depth(uuid)).toBe(2)
    expect(await catalog.layers.list(srUuid)).toHaveLength(5)
    expectSameBytes(await readAll(reader.disk), shown)
    await reader.disk.close()
    await storage.upkeep.settled()
    expect(await catalog.layers.list(srUuid)).toHaveLength(2)
  })

  test('an import on top of it commits, begun before and ended after', async () => {
    const { open, srUuid, uuid, vdi, catalog, depth, errors } = await start(5)
    const gate = createGate()
    const storage = open({ pace: gate.pace })
    storage.upkeep.collect(srUuid)
    await gate.atGate
    const row = await vdi(uuid)
    const below = await storage.contents.open(row.uuid)
    const layer = { srUuid, virtualSize: size, format: 'qcow2', parentUuid: row.layerUuid } as const
    const created = { ...layer, uuid: crypto.randomUUID(), createdAt: new Date() }
    await catalog.layers.begin(created)
    gate.open()
    await storage.upkeep.settled()
    await catalog.layers.commit({
      ...created,
      vdiUuid: uuid,
      expectedLayerUuid: row.layerUuid,
      fileSize: 0,
    })
    await below.disk.close()
    expect(await depth(uuid)).toBe(3)
    expect(errors).toEqual([])
  })

  test('where a snapshot comes to name a layer inside meanwhile, nothing changes', async () => {
    const { open, srUuid, uuid, vdi, catalog, shown, tasks, copyOf } = await start(4)
    const chain = await catalog.layers.chain((await vdi(uuid)).layerUuid!)
    const gate = createGate()
    const storage = open({ pace: gate.pace, maximumDepth: 1 })
    storage.upkeep.collect(srUuid)
    await gate.atGate
    await copyOf(uuid, { layerUuid: chain[1]!.uuid })
    gate.open()
    await storage.upkeep.settled()
    expectSameBytes(await readVdi(storage, await vdi(uuid)), shown)
    const now = await catalog.layers.chain((await vdi(uuid)).layerUuid!)
    expect(now.map((layer) => layer.uuid)).toEqual([chain[0]!.uuid, chain[1]!.uuid])
    expect((await tasks()).map(([status]) => status)).toEqual(['success', 'success'])
  })
})

describe('a reader that has the old file, and not yet its map, when the new one is ready', () => {
  test('is waited for: neither it nor those after it see a file with the map of the other', async () => {
    const memory = createMemoryFolder()
    const held = { name: '', opened: (): void => {}, release: Promise.resolve() }
    const folder: LayerFolder = {
      ...memory,
      async open(name) {
        const image = await memory.open(name)
        if (name === held.name) {
          held.opened()
          await held.release
        }
        return image
      },
    }
    const { open, srUuid, uuid, vdi, shown, depth } = await start(5, folder)
    const gate = createGate()
    const storage = open({ pace: gate.pace, maximumDepth: 1 })
    storage.upkeep.collect(srUuid)
    await gate.atGate

    const opened = new Promise<void>((resolve) => (held.opened = resolve))
    let release = (): void => {}
    held.release = new Promise<void>((resolve) => (release = resolve))
    const row = await vdi(uuid)
    held.name = `${row.layerUuid}.qcow2`
    const reading = readVdi(storage, row)
    await opened
    gate.open()
    // Time enough for a merge in memory to end, did it not wait.
    for (let turns = 0; turns < 1000; turns += 1) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await depth(uuid)).toBe(5)
    release()
    expectSameBytes(await reading, shown)
    await storage.upkeep.settled()
    expect(await depth(uuid)).toBe(1)
    expectSameBytes(await readVdi(storage, await vdi(uuid)), shown)
  })
})

describe('merging ends', () => {
  test('with the server, at once, and leaves nothing', async () => {
    const { open, srUuid, uuid, depth, folder, tasks } = await start(5)
    const gate = createGate()
    const storage = open({ pace: gate.pace })
    storage.upkeep.collect(srUuid)
    await gate.atGate
    storage.upkeep.stop()
    await within('the merging to end', storage.upkeep.settled())
    expect(await depth(uuid)).toBe(5)
    expect(await folder.listStaging()).toEqual([])
    expect(await tasks()).toEqual([['failure', 'HOST_IS_SHUTTING_DOWN']])
  })

  test('when its task is cancelled, and begins again later', async () => {
    const { open, srUuid, uuid, depth, catalog, folder } = await start(5)
    const gate = createGate()
    const woken: (() => void)[] = []
    const lines: string[] = []
    const errors: unknown[] = []
    const log = {
      info: (_fields: object, message: string) => void lines.push(message),
      error: (fields: object) => void errors.push(fields),
    }
    const later = (_: number, wake: () => void) => (woken.push(wake), () => {})
    const storage = open({ pace: gate.pace, later, log })
    storage.upkeep.collect(srUuid)
    await gate.atGate
    const [task] = await catalog.tasks.list()
    expect(storage.upkeep.cancel(`OpaqueRef:${task!.uuid}`)).toBe(true)
    await storage.upkeep.settled()
    expect(storage.upkeep.cancel(`OpaqueRef:${task!.uuid}`)).toBe(false)
    expect((await catalog.tasks.get(task!.uuid))?.status).toBe('cancelled')
    // Its user wanted it so: that is no error.
    expect(errors).toEqual([])
    expect(lines).toEqual(['merging layers', 'merging layers was cancelled: later again'])
    expect(await depth(uuid)).toBe(5)
    expect(await folder.listStaging()).toEqual([])
    gate.open()
    woken[0]!()
    await storage.upkeep.settled()
    expect(await depth(uuid)).toBe(2)
  })

  test('when its storage repository is detached', async () => {
    const { open, srUuid, uuid, depth } = await start(5)
    const gate = createGate()
    const storage = open({ pace: gate.pace })
    storage.upkeep.collect(srUuid)
    await gate.atGate
    storage.stores.detach(srUuid)
    await within('the merging to end', storage.upkeep.settled())
    expect(await depth(uuid)).toBe(5)
  })
})

describe('merging fails', () => {
  /** A folder whose files take no more than `limit` bytes, once it is set. */
  const createSmallFolder = () => {
    const folder = createMemoryFolder()
    const small = { limit: Infinity, free: Number.MAX_SAFE_INTEGER }
    const limited: LayerFolder = {
      ...folder,
      space: async () => ({ size: small.free, used: 0 }),
      async create(name) {
        const image = await folder.create(name)
        return Object.assign(Object.create(image) as typeof image, {
          async write(offset: number, source: Uint8Array) {
            if (offset + source.length > small.limit) throw new AppError('SR_FULL', [])
            await image.write(offset, source)
          },
        })
      },
    }
    return { folder: limited, small }
  }

  test('and its folder goes: nothing is tried until that is back', async () => {
    const { folder, small } = createSmallFolder()
    const { open, srUuid, uuid, depth, tasks } = await start(5, folder)
    small.free = 0
    const woken: (() => void)[] = []
    const storage = open({ later: (_milliseconds, wake) => (woken.push(wake), () => {}) })
    await settle(storage, srUuid)
    expect(await tasks()).toEqual([['failure', 'SR_FULL']])
    const place = { uuid: srUuid, path: '/nowhere/diskport', readOnly: false }
    storage.stores.attach(srUuid, (await openSrStore(place, '/nowhere')).store)
    woken[0]!()
    await storage.upkeep.settled()
    expect(await tasks()).toHaveLength(1)
    small.free = Number.MAX_SAFE_INTEGER
    storage.stores.attach(srUuid, createLayerStore(folder))
    await settle(storage, srUuid)
    expect(await depth(uuid)).toBe(2)
  })

  test('on a full disk: all is as it was, and it is tried again later, ever more rarely', async () => {
    const { folder, small } = createSmallFolder()
    const { open, srUuid, uuid, depth, shown, vdi, tasks } = await start(5, folder)
    const delays: number[] = []
    const woken: (() => void)[] = []
    const failed: object[] = []
    const storage = open({
      later: (delay, wake) => (delays.push(delay), woken.push(wake), () => {}),
      log: { info: () => {}, error: (fields) => failed.push(fields) },
    })
    small.limit = 256 * KiB
    await settle(storage, srUuid)
    expect(await folder.listStaging()).toEqual([])
    expectSameBytes(await readVdi(storage, await vdi(uuid)), shown)
    // Another look while it waits: no hot loop.
    await settle(storage, srUuid)
    const tried = (await tasks()).length
    expect(new Set((await tasks()).map(String))).toEqual(new Set(['failure,SR_FULL']))
    expect(failed).toHaveLength(tried)
    expect(delays).toEqual([60_000])
    woken[0]!()
    await storage.upkeep.settled()
    expect(delays).toEqual([60_000, 120_000])
    small.limit = Infinity
    woken[1]!()
    await storage.upkeep.settled()
    expect(await depth(uuid)).toBe(2)
    expect(delays).toHaveLength(2)
  })

  test('before anything is written, where there is no room for the copy', async () => {
    const { folder, small } = createSmallFolder()
    const { open, srUuid, uuid, depth, tasks } = await start(4, folder)
    small.free = KiB
    small.limit = 0
    await settle(open(), srUuid)
    expect(await depth(uuid)).toBe(4)
    expect(new Set((await tasks()).map(String))).toEqual(new Set(['failure,SR_FULL']))
  })
})

describe('a storage repository that is not ours to change', () => {
  test('read-only: nothing is collected, nothing is merged', async () => {
    const { tree, uuid } = await start(4)
    const { catalog, srUuid, openStorage } = tree
    // What wrote the layers may still be collecting.
    await tree.storage.upkeep.settled()
    const srs = {
      ...catalog.srs,
      get: async (asked: string) => ({ ...(await catalog.srs.get(asked))!, readOnly: true }),
    }
    const readOnly = openStorage(
      { ...unhurried, maximumDepth: 2 },
      { catalog: { ...catalog, srs } },
    )
    await settle(readOnly, srUuid)
    expect(await tree.depth(uuid)).toBe(4)
    await catalog.vdis.destroy(uuid)
    await settle(readOnly, srUuid)
    expect(await catalog.layers.list(srUuid)).toHaveLength(4)
  })

  test('no coalescing: chains stay, layers are still collected', async () => {
    const { tree, uuid } = await start(4)
    const storage = tree.openStorage()
    await settle(storage, tree.srUuid)
    expect(await tree.depth(uuid)).toBe(4)
    await tree.catalog.vdis.destroy(uuid)
    await settle(storage, tree.srUuid)
    expect(await tree.catalog.layers.list(tree.srUuid)).toEqual([])
  })
})
