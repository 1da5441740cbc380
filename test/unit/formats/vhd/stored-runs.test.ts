import { describe, expect, test } from 'vitest'
import type { ByteRange, Extent } from '../../../../src/disk/extents.ts'
import { clip } from '../../../../src/disk/extents.ts'
import { createStoredRuns } from '../../../../src/formats/vhd/stored-runs.ts'
import { vhd } from '../../../../src/formats/vhd/vhd.ts'
import type { Image } from '../../../../src/image/image.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { MiB } from '../../../../src/units.ts'
import { listExtents } from '../../../support/disks.ts'
import { buildVhd } from '../../../support/vhd-images.ts'

/** An image whose storage tells of these runs, and how often it was asked. */
const tellingImage = (runs: readonly Extent[], bytes: Uint8Array = new Uint8Array(0)) => {
  const memory = createMemoryImage(bytes)
  const size = runs.reduce((sum, { length }) => sum + length, 0)
  let asked = 0
  const image: Image = {
    size,
    read: (offset, target) => memory.read(offset, target),
    async *extents(range: ByteRange = { offset: 0, length: size }) {
      asked += 1
      for (const run of runs) {
        const inside = clip(run, range)
        if (inside !== undefined) yield inside
      }
    },
    close: () => memory.close(),
  }
  return { image, asked: () => asked }
}

const runsOf = (...lengths: readonly [Extent['kind'], number][]): Extent[] => {
  let offset = 0
  return lengths.map(([kind, length]) => {
    const run = { offset, length, kind }
    offset += length
    return run
  })
}

describe('stored runs', () => {
  test('of a storage that cannot tell are all data', async () => {
    const memory = createMemoryImage(new Uint8Array(8192))
    const stored = createStoredRuns(memory)
    expect(stored.known(0, 8192)).toBe('data')
    expect(await Array.fromAsync(stored.within({ offset: 512, length: 1024 }))).toEqual([
      { offset: 512, length: 1024, kind: 'data' },
    ])
  })

  test('are holes as zeros, and data', async () => {
    const { image } = tellingImage(runsOf(['data', 4096], ['hole', 4096], ['data', 4096]))
    const stored = createStoredRuns(image)
    expect(await Array.fromAsync(stored.within({ offset: 512, length: 11_264 }))).toEqual([
      { offset: 512, length: 3584, kind: 'data' },
      { offset: 4096, length: 4096, kind: 'zero' },
      { offset: 8192, length: 3584, kind: 'data' },
    ])
  })

  test('never have zeros in a sector that is partly data', async () => {
    const { image } = tellingImage(
      runsOf(['data', 700], ['hole', 1000], ['data', 300], ['hole', 48]),
    )
    const stored = createStoredRuns(image)
    const found = await Array.fromAsync(stored.within({ offset: 0, length: 2048 }))
    expect(found.map(({ offset, length, kind }) => [kind, offset, length])).toEqual([
      ['data', 0, 1024],
      ['zero', 1024, 512],
      ['data', 1536, 512],
    ])
  })

  test('of a file without holes are asked for once', async () => {
    const { image, asked } = tellingImage(runsOf(['data', 100 * MiB]))
    const stored = createStoredRuns(image)
    expect(stored.known(0, MiB)).toBe(undefined)
    await Array.fromAsync(stored.within({ offset: 5 * MiB, length: MiB }))
    expect(asked()).toBe(1)
    for (let offset = 5 * MiB; offset < 100 * MiB; offset += MiB) {
      expect(stored.known(offset, MiB)).toBe('data')
      await Array.fromAsync(stored.within({ offset, length: MiB }))
    }
    expect(asked()).toBe(1)
    expect(stored.known(99 * MiB + 512, MiB)).toBe(undefined)
  })
})

test('written sectors whose bytes are a hole of the file are zeros, and hide the parent', async () => {
  const { bytes, blockOffsets, footerOffset } = buildVhd({
    size: 7 * MiB,
    diskType: 4,
    creator: 'tap\0',
    batmap: Buffer.concat([Buffer.from([0b11000000]), Buffer.alloc(511)]),
    blocks: [{ block: 0 }, { block: 1 }, { block: 3, written: [[8, 24]] }],
  })
  const [first, second, third] = blockOffsets.map((offset) => offset + 512)
  const { image } = tellingImage(
    runsOf(
      ['data', first! + MiB],
      ['hole', second! - first!],
      ['data', third! + 16 * 512 - second! - MiB],
      ['hole', 8 * 512],
      ['data', footerOffset + 512 - third! - 24 * 512],
    ),
    bytes,
  )
  const disk = await vhd.open(image)
  const extents = await listExtents(disk)
  expect(extents.map(({ kind, offset, length }) => [kind, offset, length])).toEqual([
    ['data', 0, MiB],
    // Up to the hole's end: the bitmap between the two blocks lies in it too, and takes nothing
    // from it.
    ['zero', MiB, 2 * MiB],
    ['data', 3 * MiB, MiB],
    ['hole', 4 * MiB, 2 * MiB + 8 * 512],
    ['data', 6 * MiB + 8 * 512, 8 * 512],
    ['zero', 6 * MiB + 16 * 512, 8 * 512],
    ['hole', 6 * MiB + 24 * 512, MiB - 24 * 512],
  ])
})
