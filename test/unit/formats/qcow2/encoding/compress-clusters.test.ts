// Clusters come in the order of the disk, several are under way, and nothing runs on after the end.

import { expect, test } from 'vitest'
import { createRunBuilder } from '../../../../../src/disk/unit-runs.ts'
import { compressClusters } from '../../../../../src/formats/qcow2/encoding/compress-clusters.ts'
import { decompressCluster } from '../../../../../src/formats/qcow2/compressed.ts'
import { KiB, MiB, SECTOR_SIZE } from '../../../../../src/units.ts'
import type { ContentPart } from '../../../../support/content-disk.ts'
import { createContentDisk } from '../../../../support/content-disk.ts'
import { expectSameBytes } from '../../../../support/disks.ts'

const cluster = 64 * KiB

const runsOf = (...runs: readonly (readonly [number, number])[]) => {
  const builder = createRunBuilder()
  for (const [from, to] of runs) builder.add(from, to)
  return builder.finish()
}

const parts: readonly ContentPart[] = [
  ['text', 5 * cluster],
  ['random', 3 * cluster],
  ['zeros', 2 * cluster],
  ['text', 10 * cluster - SECTOR_SIZE],
]

test.each(['zlib', 'zstd'] as const)('%s: in order, each as small as it can be', async (type) => {
  const disk = createContentDisk(parts)
  const data = runsOf([0, 9], [12, 20])
  const options = { compression: type, signal: undefined }
  const found = await Array.fromAsync(compressClusters(disk, data, options))
  const wanted = Array.from({ length: 20 }, (_, index) => index).filter((at) => at < 9 || at > 11)
  expect(found.map((each) => each.cluster)).toEqual(wanted)
  for (const { cluster: at, kind, bytes } of found) {
    const content = new Uint8Array(cluster)
    const present = Math.min(cluster, disk.size - at * cluster)
    await disk.read(at * cluster, content.subarray(0, present))
    expect(kind).toBe(at < 5 || at > 9 ? 'compressed' : at < 8 ? 'plain' : 'zero')
    const undo = { zero: () => new Uint8Array(cluster), plain: () => bytes } as const
    const back = kind === 'compressed' ? decompressCluster(bytes, cluster, type) : undo[kind]()
    expectSameBytes(await back, content)
  }
})

test('a reader that leaves finds nothing running; one that fails throws', async () => {
  let running = 0
  let reads = 0
  const disk = createContentDisk([['text', 8 * MiB]])
  const watched = {
    ...disk,
    async read(offset: number, target: Uint8Array) {
      running += 1
      reads += 1
      await new Promise((resolve) => setImmediate(resolve))
      running -= 1
      if (offset === 4 * MiB) throw new Error('a bad sector')
      await disk.read(offset, target)
    },
  }
  const options = { compression: 'zlib', signal: undefined } as const
  const left = compressClusters(watched, runsOf([0, 128]), options)
  await left.next()
  await left.return()
  expect(running).toBe(0)
  expect(reads).toBeLessThan(8)
  const failing = Array.fromAsync(compressClusters(watched, runsOf([0, 128]), options))
  await expect(failing).rejects.toThrow('a bad sector')
  expect(running).toBe(0)
})

test('an abort ends it', async () => {
  const { signal } = { signal: AbortSignal.abort() }
  const disk = createContentDisk([['text', 8 * MiB]])
  const options = { compression: 'zstd', signal } as const
  const encoding = Array.fromAsync(compressClusters(disk, runsOf([0, 9]), options))
  await expect(encoding).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
})
