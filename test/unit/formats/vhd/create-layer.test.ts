import { describe, expect, test } from 'vitest'
import { collectBlockMap } from '../../../../src/disk/block-map.ts'
import { createChainDisk } from '../../../../src/disk/chain-disk.ts'
import type { Disk } from '../../../../src/disk/disk.ts'
import { createMemoryDisk } from '../../../../src/disk/memory-disk.ts'
import type { LayerOptions, LayerParent } from '../../../../src/formats/format.ts'
import { vhd } from '../../../../src/formats/vhd/vhd.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { GiB, KiB, MiB } from '../../../../src/units.ts'
import { testIdentity, writeDisk } from '../../../laws/format-laws.ts'
import {
  createPatternDisk,
  expectSameBytes,
  fillPattern,
  listExtents,
  readAll,
  readRange,
} from '../../../support/disks.ts'
import { createSparseImage } from '../../../support/sparse-image.ts'
import { coalesceInto } from '../../../support/vhd-util-coalesce.ts'
import { parentNameOf, vhdUtilProblems } from '../../../support/vhd-util-rules.ts'

const { uuid, timestamp } = testIdentity

const parentDisk = createPatternDisk([['data', 9 * MiB]], 7)

const parent: LayerParent = {
  uuid: '11111111-2222-4333-8444-555555555555',
  timestamp: new Date('2025-06-07T08:09:10Z'),
  format: 'vhd',
  fileName: '11111111-2222-4333-8444-555555555555.vhd',
  disk: parentDisk,
}

const newLayer = async (options: Partial<LayerOptions> = {}, file = createSparseImage()) => {
  const layer = await vhd.createLayer(file, { size: 9 * MiB, uuid, timestamp, ...options })
  return { file, layer }
}

const pattern = (offset: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  fillPattern(offset, bytes)
  return bytes
}

const chainOf = async (upper: Disk, lower: Disk): Promise<Disk> =>
  createChainDisk(
    [
      { disk: upper, map: await collectBlockMap(upper) },
      { disk: lower, map: await collectBlockMap(lower) },
    ],
    upper.size,
  )

const kindsOf = async (disk: Disk): Promise<[string, number, number][]> =>
  (await listExtents(disk)).map(({ kind, offset, length }) => [kind, offset, length])

describe('a sealed layer', () => {
  test.each<[string, Partial<LayerOptions>]>([
    ['dynamic', {}],
    ['on a parent', { parent }],
    ['of one sector', { size: 512 }],
  ])('is what vhd-util takes: %s', async (_name, options) => {
    const { file, layer } = await newLayer(options)
    const end = layer.size - 512
    await layer.write(end, pattern(end, 512))
    if (end > 5 * MiB) {
      await layer.write(512, pattern(512, 5 * MiB))
      await layer.zero(4 * MiB, 3 * MiB + 1536)
    }
    await layer.seal()
    expect(vhdUtilProblems(await readAll(file))).toEqual([])
  })

  test('with nothing in it is metadata only', async () => {
    for (const options of [{}, { parent }]) {
      const { file, layer } = await newLayer(options)
      await layer.seal()
      expect(file.size).toBeLessThan(8192)
      expect(vhdUtilProblems(await readAll(file))).toEqual([])
      expect(await kindsOf(await vhd.open(file))).toEqual([['hole', 0, 9 * MiB]])
    }
  })

  test.each(['base.qcow2', 'base.raw', 'base.vhd'])('names its parent: %s', async (fileName) => {
    const { file, layer } = await newLayer({ parent: { ...parent, format: 'qcow2', fileName } })
    await layer.seal()
    const bytes = Buffer.from(await readAll(file))
    expect(parentNameOf(bytes)).toBe(fileName)
    expect(bytes.readUInt32BE(60)).toBe(4)
    expect(bytes.toString('hex', 512 + 40, 512 + 56)).toBe(parent.uuid.replaceAll('-', ''))
    expect(bytes.readUInt32BE(512 + 56)).toBe(parent.timestamp.getTime() / 1000 - 946_684_800)
    expect(vhdUtilProblems(bytes)).toEqual([])
  })

  test('has its data at multiples of 4 KiB and its footer right after the last block', async () => {
    const { file, layer } = await newLayer()
    await layer.write(6 * MiB, pattern(6 * MiB, 512))
    await layer.write(0, pattern(0, 512))
    await layer.seal()
    const bytes = Buffer.from(await readAll(file))
    const sectors = [bytes.readUInt32BE(2048), bytes.readUInt32BE(2048 + 12)]
    for (const sector of sectors) expect(((sector + 1) * 512) % 4096).toBe(0)
    expect(bytes.length).toBe((sectors[0]! + 4097) * 512 + 512)
    // In the order of the writes.
    expect(sectors[1]).toBeLessThan(sectors[0]!)
  })

  test('marks full blocks in its batmap, the last one only if it lies wholly on the disk', async () => {
    const { file, layer } = await newLayer()
    await layer.write(2 * MiB, pattern(2 * MiB, 2 * MiB))
    await layer.write(8 * MiB, pattern(8 * MiB, MiB))
    await layer.write(0, pattern(0, 2 * MiB - 512))
    await layer.seal()
    const bytes = await readAll(file)
    expect(bytes[2048 + 512 + 512]).toBe(0b01000000)
    expect(vhdUtilProblems(bytes)).toEqual([])
  })

  test.each([MiB + 512, 2 * MiB - 512, 3 * MiB, 5 * MiB])(
    'of %d bytes that are all written coalesces into its parent',
    async (size) => {
      const { file, layer } = await newLayer({ size, parent })
      await layer.write(0, pattern(0, size))
      await layer.seal()
      const bytes = await readAll(file)
      expect(vhdUtilProblems(bytes)).toEqual([])
      const below = new Uint8Array(size).fill(9)
      expect(coalesceInto(bytes, below)).toBe(size / 512)
      expectSameBytes(below, pattern(0, size))
      expect(await kindsOf(await vhd.open(file))).toEqual([['data', 0, size]])
    },
  )

  test('whose last block is zeroed as a whole coalesces into its parent', async () => {
    const { file, layer } = await newLayer({ size: 3 * MiB, parent })
    await layer.zero(2 * MiB, MiB)
    await layer.seal()
    const below = await readRange(parentDisk, 0, 3 * MiB)
    expect(coalesceInto(await readAll(file), below)).toBe(2048)
    const expected = await readRange(parentDisk, 0, 3 * MiB)
    expectSameBytes(below, expected.fill(0, 2 * MiB))
  })

  test('just above 8 GiB leaves the bit clear that vhd-util does not sum up', async () => {
    const size = 8 * GiB + 512
    const { file, layer } = await newLayer({ size })
    await layer.write(8 * GiB, pattern(8 * GiB, 512))
    await layer.write(0, pattern(0, 2 * MiB))
    await layer.seal()
    const blocks = 4097
    const batmapOffset = 2048 + Math.ceil((blocks * 4) / 512) * 512
    const header = Buffer.from(await readRange(file, batmapOffset, 512))
    const bits = await readRange(file, batmapOffset + 512, 1024)
    expect(header.readUInt32BE(16)).toBe(2)
    expect([bits[0], bits[512]]).toEqual([0x80, 0])
    expect(header.readUInt32BE(24)).toBe(~0x80 >>> 0)
    expect(await kindsOf(await vhd.open(file))).toEqual([
      ['data', 0, 2 * MiB],
      ['hole', 2 * MiB, 8 * GiB - 2 * MiB],
      ['data', 8 * GiB, 512],
    ])
  })

  test('takes no more writes', async () => {
    const { layer } = await newLayer()
    await layer.seal()
    await expect(layer.write(0, new Uint8Array(512))).rejects.toThrow('The layer is sealed')
    await expect(layer.zero(0, 512)).rejects.toThrow('The layer is sealed')
    await expect(layer.seal()).rejects.toThrow('The layer is sealed')
  })
})

describe('writing', () => {
  test('whole blocks makes large writes', async () => {
    const { file, layer } = await newLayer()
    await layer.write(2 * MiB, pattern(2 * MiB, 4 * MiB))
    const lengths = file.writes.map(({ length }) => length)
    expect(lengths.toSorted((one, other) => other - one)).toEqual([2 * MiB, 2 * MiB, 512, 512])
    expect(file.reads).toEqual([])
  })

  test('again replaces what was there', async () => {
    const { file, layer } = await newLayer()
    await layer.write(MiB, new Uint8Array(2 * MiB).fill(1))
    await layer.write(MiB + 512, pattern(MiB + 512, 1024))
    await layer.write(2 * MiB, pattern(2 * MiB, 512))
    await layer.seal()
    const disk = await vhd.open(file)
    expect(await readRange(disk, MiB, 512)).toEqual(new Uint8Array(512).fill(1))
    expectSameBytes(await readRange(disk, MiB + 512, 1024), pattern(MiB + 512, 1024))
    expectSameBytes(await readRange(disk, 2 * MiB, 512), pattern(2 * MiB, 512))
    expect(await kindsOf(disk)).toEqual([
      ['zero', 0, MiB],
      ['data', MiB, 2 * MiB],
      ['zero', 3 * MiB, MiB],
      ['hole', 4 * MiB, 5 * MiB],
    ])
  })

  test('is in whole sectors inside the disk', async () => {
    const { layer } = await newLayer()
    await expect(layer.write(1, new Uint8Array(512))).rejects.toThrow(
      'Write of 512 bytes at 1 is not in whole sectors',
    )
    await expect(layer.write(0, new Uint8Array(100))).rejects.toThrow('not in whole sectors')
    await expect(layer.write(9 * MiB, new Uint8Array(512))).rejects.toThrow(RangeError)
    await expect(layer.zero(9 * MiB - 512, 1024)).rejects.toThrow(RangeError)
    await expect(layer.write(-512, new Uint8Array(512))).rejects.toThrow(RangeError)
  })

  test('stops with its signal', async () => {
    const { layer, file } = await newLayer()
    const signal = AbortSignal.abort(new Error('enough'))
    const cancelled = { code: 'TASK_CANCELLED' }
    await expect(layer.write(0, new Uint8Array(512), signal)).rejects.toMatchObject(cancelled)
    await expect(layer.zero(0, 512, signal)).rejects.toMatchObject(cancelled)
    expect(file.writes).toEqual([])
  })

  test('that fails says so after all of it has ended', async () => {
    let failures = 0
    const file = createSparseImage(
      () => 2,
      (offset) => {
        if (offset < 3 * MiB) return
        failures += 1
        throw new Error('no space left')
      },
    )
    const { layer } = await newLayer({}, file)
    await expect(layer.write(0, pattern(0, 6 * MiB))).rejects.toThrow('no space left')
    expect(failures).toBeGreaterThan(0)
    const count = file.writes.length
    await new Promise(setImmediate)
    expect(file.writes.length).toBe(count)
  })
})

describe('zeroing a layer without a parent', () => {
  test('does nothing where nothing was written', async () => {
    const { file, layer } = await newLayer()
    await layer.zero(0, 9 * MiB)
    expect(file.writes).toEqual([])
    await layer.seal()
    expect(await kindsOf(await vhd.open(file))).toEqual([['hole', 0, 9 * MiB]])
  })

  test('takes back what was written, in the file too', async () => {
    const { file, layer } = await newLayer()
    await layer.write(0, pattern(0, 3 * MiB))
    await layer.zero(1024, 2 * MiB)
    await layer.seal()
    const disk = await vhd.open(file)
    expect(await kindsOf(disk)).toEqual([
      ['data', 0, 1024],
      ['zero', 1024, 2 * MiB],
      ['data', 2 * MiB + 1024, MiB - 1024],
      ['zero', 3 * MiB, MiB],
      ['hole', 4 * MiB, 5 * MiB],
    ])
    // Readers that ignore bitmaps, such as qemu, see the same.
    expect(vhdUtilProblems(await readAll(file))).toEqual([])
  })

  test('can be written over again', async () => {
    const { file, layer } = await newLayer()
    await layer.write(0, pattern(0, 2 * MiB))
    await layer.zero(0, 2 * MiB)
    await layer.write(0, pattern(0, 2 * MiB))
    await layer.seal()
    expect(await kindsOf(await vhd.open(file))).toEqual([
      ['data', 0, 2 * MiB],
      ['hole', 2 * MiB, 7 * MiB],
    ])
    expect((await readAll(file))[3072]).toBe(0b10000000)
  })
})

describe('a layer on a parent', () => {
  test('hides with zeros what the parent holds, and stores none of them', async () => {
    const { file, layer } = await newLayer({ parent })
    await layer.zero(MiB, 6 * MiB)
    expect(file.stored).toBeLessThan(64 * KiB)
    await layer.seal()
    const disk = await vhd.open(file)
    expect(await kindsOf(disk)).toEqual([
      ['hole', 0, MiB],
      ['zero', MiB, 6 * MiB],
      ['hole', 7 * MiB, 2 * MiB],
    ])
    const chain = await readAll(await chainOf(disk, parentDisk))
    const expected = await readAll(parentDisk)
    expected.fill(0, MiB, 7 * MiB)
    expectSameBytes(chain, expected)
  })

  test('takes back what was written', async () => {
    const { file, layer } = await newLayer({ parent })
    await layer.write(512, pattern(512, 4096))
    await layer.zero(1024, 1024)
    await layer.seal()
    const expected = await readAll(parentDisk)
    expected.set(pattern(512, 4096), 512)
    expected.fill(0, 1024, 2048)
    expectSameBytes(await readAll(await chainOf(await vhd.open(file), parentDisk)), expected)
  })

  test('leaves to the parent every sector that was not written', async () => {
    const { file, layer } = await newLayer({ parent })
    const expected = await readAll(parentDisk)
    for (const sector of [1, 3, 4, 4095, 4096, 9000, 18_431]) {
      await layer.write(sector * 512, pattern(sector * 512, 512))
      expected.set(pattern(sector * 512, 512), sector * 512)
    }
    await layer.seal()
    expectSameBytes(await readAll(await chainOf(await vhd.open(file), parentDisk)), expected)
  })

  test('never names a parent in another folder', async () => {
    const making = newLayer({ parent: { ...parent, fileName: '../other.vhd' } })
    await expect(making).rejects.toThrow('"../other.vhd" is a path, not a name')
  })
})

describe('many operations under way at once', () => {
  /** A small generator with a seed: the same order in each run. */
  const numbers = (seed: number) => {
    let state = seed
    return (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
  }

  test.each([1, 2, 3])(
    'on the same blocks give what one after the other gives (%d)',
    async (seed) => {
      const random = numbers(seed)
      const size = 5 * MiB
      const file = createSparseImage(() => random(4))
      const { layer } = await newLayer({ size, parent: { ...parent, disk: parentDisk } }, file)
      const model = createMemoryDisk(size)
      for (let round = 0; round < 6; round += 1) {
        const steps: Promise<void>[] = []
        for (let offset = random(200) * 512; offset < size;) {
          const length = Math.min(size - offset, (1 + random(300)) * 512)
          const bytes = pattern(offset + round, length)
          if (random(3) === 0) {
            steps.push(layer.zero(offset, length))
            await model.zero(offset, length)
          } else {
            steps.push(layer.write(offset, bytes))
            await model.write(offset, bytes)
          }
          offset += length + random(3) * 512
        }
        await Promise.all(steps)
      }
      await layer.seal()
      const lower = createPatternDisk([['data', size]], 7)
      expectSameBytes(
        await readAll(await chainOf(await vhd.open(file), lower)),
        await readAll(await chainOf(model, lower)),
      )
      expect(
        vhdUtilProblems(await readAll(file)).filter((one) => !one.startsWith('sector')),
      ).toEqual([])
    },
  )

  test('on more blocks than bitmaps are kept keep every bit', async () => {
    const random = numbers(4)
    const blocks = 5000
    const file = createSparseImage(() => random(3))
    const { layer } = await newLayer({ size: blocks * 2 * MiB }, file)
    const written = new Set<number>()
    const source = new Uint8Array(512).fill(5)
    for (let round = 0; round < 3; round += 1) {
      const steps: Promise<void>[] = []
      const sectors = new Set<number>()
      for (let index = 0; index < blocks; index += 1) {
        const block = round === 1 ? blocks - 1 - index : index
        sectors.add(block * 4096 + random(16) * 7)
      }
      for (const sector of sectors) {
        written.add(sector)
        steps.push(layer.write(sector * 512, source))
        if (steps.length < 100) continue
        await Promise.all(steps)
        steps.length = 0
      }
      await Promise.all(steps)
    }
    // Some were read back: they do not all stay in memory.
    expect(file.reads.length).toBeGreaterThan(1000)
    await layer.seal()
    const found: number[] = []
    for (const { offset, length, kind } of await listExtents(await vhd.open(file))) {
      if (kind !== 'data') continue
      for (let at = offset; at < offset + length; at += 512) found.push(at / 512)
    }
    expect(found).toEqual([...written].toSorted((one, other) => one - other))
  })

  test('that fill a block while its bitmap is being saved leave it full in the file', async () => {
    const random = numbers(5)
    const blocks = 3000
    const size = blocks * 2 * MiB
    const file = createSparseImage(() => random(6))
    const { layer } = await newLayer({ size, parent: { ...parent, disk: parentDisk } }, file)
    // Zeros on a parent set bits and store nothing. First halves follow second halves at a distance
    // at which the bitmaps with the second ones are just being put aside.
    const distance = 2040
    const running = new Set<Promise<unknown>>()
    const start = async (offset: number): Promise<void> => {
      const step: Promise<unknown> = layer.zero(offset, MiB).then(() => running.delete(step))
      running.add(step)
      if (running.size >= 40) await Promise.race(running)
    }
    for (let index = 0; index < blocks + distance; index += 1) {
      const second = index - distance
      if (index < blocks) await start(index * 2 * MiB + MiB)
      if (second >= 0) await start(second * 2 * MiB)
    }
    await Promise.all(running)
    await layer.seal()
    // Without its batmap each bitmap has to answer for itself.
    await file.write(2048 + Math.ceil((blocks * 4) / 512) * 512, new Uint8Array(512))
    expect(await kindsOf(await vhd.open(file))).toEqual([['zero', 0, size]])
  })
})

describe('a layer is refused', () => {
  test('above 2040 GiB', async () => {
    await expect(newLayer({ size: 2040 * GiB + 512 })).rejects.toMatchObject({
      code: 'VDI_TOO_LARGE',
      params: [`OpaqueRef:${uuid}`, String(2040 * GiB)],
    })
  })

  test('of no size, or not of whole sectors', async () => {
    await expect(newLayer({ size: 0 })).rejects.toThrow('the virtual size is 0')
    await expect(newLayer({ size: 1000 })).rejects.toThrow('is not a multiple of 512')
  })
})

test('a layer of 2040 GiB takes a write at its very end', async () => {
  const size = 2040 * GiB
  const { file, layer } = await newLayer({ size })
  await layer.write(size - 512, pattern(size - 512, 512))
  await layer.zero(0, size)
  await layer.write(size - 512, pattern(size - 512, 512))
  await layer.seal()
  const disk = await vhd.open(file)
  expect(disk.size).toBe(size)
  expect(await kindsOf(disk)).toEqual([
    ['hole', 0, size - 2 * MiB],
    ['zero', size - 2 * MiB, 2 * MiB - 512],
    ['data', size - 512, 512],
  ])
  expectSameBytes(await readRange(disk, size - 512, 512), pattern(size - 512, 512))
})

test('a layer in memory is as good as one in a file', async () => {
  const source = createPatternDisk([
    ['data', 3 * MiB],
    ['hole', 2 * MiB],
    ['data', 512],
  ])
  const memory = createMemoryImage()
  const layer = await vhd.createLayer(memory, { size: source.size, uuid, timestamp })
  await writeDisk(source, layer, 64 * KiB)
  await layer.seal()
  expectSameBytes(await readAll(await vhd.open(memory)), await readAll(source))
})
