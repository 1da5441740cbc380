// One merge of a run of layers, without what starts it: what it leaves when it ends well, when it
// is no longer wanted, and when it fails.

import { describe, expect, test } from 'vitest'
import type { LayerRow } from '../../../../src/catalog/layers/layer-row.ts'
import { AppError } from '../../../../src/errors.ts'
import { createLayerStore } from '../../../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../../../src/store/files/memory-folder.ts'
import { createLayerLocks } from '../../../../src/store/reading/layer-locks.ts'
import { createMapCache } from '../../../../src/store/reading/map-cache.ts'
import { mergeRun } from '../../../../src/store/upkeep/merge-run.ts'
import { MiB } from '../../../../src/units.ts'
import { expectSameBytes } from '../../../support/disks.ts'
import { createLayerTree, readVdi } from '../../../support/layer-trees.ts'

type Ports = Parameters<typeof mergeRun>[0]

/** A VDI on four layers of `dataSize` bytes each; the upper three are the run. */
const start = async (dataSize = MiB) => {
  const folder = createMemoryFolder()
  const tree = await createLayerTree(folder)
  const { catalog, srUuid } = tree
  const uuid = await tree.createVdi(4 * dataSize, 'qcow2')
  for (let index = 0; index < 4; index += 1) {
    await tree.write(uuid, [{ kind: 'data', offset: index * dataSize, length: dataSize }])
  }
  await tree.storage.upkeep.settled()
  const topUuid = (await tree.vdi(uuid)).layerUuid!
  const chain = await catalog.layers.chain(topUuid)
  const run = chain.slice(0, 3)
  const shown = await readVdi(tree.storage, await tree.vdi(uuid))
  let pinned = 0
  const ports: Ports = {
    store: createLayerStore(folder),
    maps: createMapCache(),
    locks: createLayerLocks(),
    async pinLayer(layerUuid) {
      pinned += 1
      return { chain: await catalog.layers.chain(layerUuid), release: () => (pinned -= 1) }
    },
    isRun: (layers) => catalog.coalescing.isRun(layers),
    rebase: (rebase) => catalog.coalescing.rebase(rebase),
  }
  const merge = (
    options: Partial<Parameters<typeof mergeRun>[2]> = {},
    more: Partial<Ports> = {},
    layers: readonly LayerRow[] = run,
  ) =>
    mergeRun({ ...ports, ...more }, layers, {
      signal: new AbortController().signal,
      beforePiece: async () => {},
      ...options,
    })
  /** The chain and the content, as a server that has just started finds them. */
  const state = async () => {
    const storage = tree.openStorage()
    const layers = await catalog.layers.chain(topUuid)
    return {
      uuids: layers.map((layer) => layer.uuid),
      bytes: await readVdi(storage, await tree.vdi(uuid)),
    }
  }
  const expectUnchanged = async () => {
    const { uuids, bytes } = await state()
    expect(uuids).toEqual(chain.map((layer) => layer.uuid))
    expectSameBytes(bytes, shown)
    expect(pinned).toBe(0)
  }
  return { tree, srUuid, chain, run, shown, merge, state, expectUnchanged, pinned: () => pinned }
}

describe('a run of layers', () => {
  test('becomes one file, which lies on what the run lay on and shows the same', async () => {
    const { chain, run, shown, merge, state, pinned } = await start()
    const merged = (await merge())!
    const before = run.reduce((sum, { fileSize }) => sum + fileSize, 0)
    expect(merged.freed).toBe(before - merged.fileSize)
    const { uuids, bytes } = await state()
    expect(uuids).toEqual([chain[0]!.uuid, chain[3]!.uuid])
    expectSameBytes(bytes, shown)
    expect(pinned()).toBe(0)
  })

  test('asks for its pace before each piece', async () => {
    const { merge } = await start()
    let bytes = 0
    await merge({ beforePiece: async (more) => void (bytes += more) })
    expect(bytes).toBe(3 * MiB)
  })

  test('that is not in the chain any more changes nothing', async () => {
    const { run, merge, expectUnchanged } = await start()
    expect(await merge({}, {}, [run[0]!, run[2]!])).toBeUndefined()
    await expectUnchanged()
  })

  test('that is no run any more when its file is ready shows what it showed', async () => {
    const { merge, expectUnchanged } = await start()
    expect(await merge({}, { rebase: async () => false })).toBeUndefined()
    await expectUnchanged()
  })

  test('that is no run any more in the middle is given up', async () => {
    const { merge, expectUnchanged } = await start(32 * MiB)
    let bytes = 0
    const beforePiece = async (more: number) => void (bytes += more)
    expect(await merge({ beforePiece }, { isRun: async () => false })).toBeUndefined()
    expect(bytes).toBe(63 * MiB)
    await expectUnchanged()
  })

  test('is not copied where there is no room for it', async () => {
    const { merge, expectUnchanged } = await start()
    let pieces = 0
    const folder = createLayerStore(createMemoryFolder())
    const store = { ...folder, space: async () => ({ size: MiB, used: 0 }) }
    const merging = merge({ beforePiece: async () => void (pieces += 1) }, { store })
    await expect(merging).rejects.toMatchObject({ code: 'SR_FULL' })
    expect(pieces).toBe(0)
    await expectUnchanged()
  })

  test('that is stopped throws the reason, and leaves nothing', async () => {
    const { merge, expectUnchanged } = await start()
    const job = new AbortController()
    const beforePiece = async () => job.abort(new AppError('HOST_IS_SHUTTING_DOWN', []))
    const merging = merge({ signal: job.signal, beforePiece })
    await expect(merging).rejects.toMatchObject({ code: 'HOST_IS_SHUTTING_DOWN' })
    await expectUnchanged()
  })
})
