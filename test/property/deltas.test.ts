// What an export with base= promises: imported onto the base, it gives the VDI; narrowed, it holds
// nothing that is equal in both. For each form of delta, for disks that share layers and that do
// not.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { narrowChanges } from '../../src/disk/narrow-delta.ts'
import { createBlockMapBuilder } from '../../src/disk/block-map.ts'
import { createMemoryDisk } from '../../src/disk/memory-disk.ts'
import type { FormatName } from '../../src/format-table.ts'
import { formats } from '../../src/formats/registry.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { KiB, MiB, SECTOR_SIZE } from '../../src/units.ts'
import { expectSameBytes } from '../support/disks.ts'
import type { TestStorage, TestWrite } from '../support/storage.ts'
import { createTestStorage } from '../support/storage.ts'

/** Two blocks of VHD, the second not whole. */
const size = 2 * MiB + 515 * KiB

type Content = (size: number) => readonly TestWrite[]

const stretch = fc.record({
  sector: fc.nat(size / SECTOR_SIZE - 1),
  sectors: fc.integer({ min: 1, max: 400 }),
  seed: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
})

/** Writes that fit a disk of any size. */
const random: fc.Arbitrary<Content> = fc.array(stretch, { minLength: 1, maxLength: 5 }).map(
  (all) => (size) =>
    all.flatMap(({ sector, sectors, seed }) => {
      const offset = sector * SECTOR_SIZE
      const length = Math.min(sectors * SECTOR_SIZE, size - offset)
      return length <= 0 ? [] : [{ offset, length, ...(seed === undefined ? {} : { seed }) }]
    }),
)
const full = fc
  .integer({ min: 1, max: 2 })
  .map((seed): Content => (size) => [{ offset: 0, length: size, seed }])
const empty = fc.constant<Content>(() => [])

const contents = { empty, random, full }
const names = Object.keys(contents) as (keyof typeof contents)[]
const pairs = names.flatMap((name) => names.map((base) => [name, base] as const))

const forms = [
  ['vhd', 'compatible', 2 * MiB],
  ['qcow2', 'compatible', 2 * MiB],
  ['qcow2', 'compact', 64 * KiB],
] as const

interface Case {
  readonly vdi: string
  readonly base: string
}

/** Exports in each form, narrowed and not, and imports onto a clone of the base. */
const expectDeltas = async (on: TestStorage, { vdi, base }: Case): Promise<void> => {
  const [bytes, baseBytes] = [await on.read(vdi), await on.read(base)]
  for (const [format, delta, unit] of forms) {
    for (const narrow of ['never', 'always'] as const) {
      const request = {
        vdiUuid: vdi,
        baseUuid: base,
        formatName: format,
        narrow,
        options: delta === 'compact' ? { delta } : {},
      }
      const exported = await on.exportImage(request)
      const target = await on.clone(base, { virtualSize: Math.max(bytes.length, baseBytes.length) })
      await on.importImage(target, format, exported.bytes)
      const restored = await on.read(target)
      expectSameBytes(restored.subarray(0, bytes.length), bytes, `${format} ${delta} ${narrow}`)
      if (narrow === 'always') {
        const sent = await sentUnits(format, exported.bytes, unit)
        expect(sent).toEqual(differingUnits(bytes, baseBytes, unit))
      }
    }
  }
}

/** Offsets of the units that an image holds, as content or as zeros. */
const sentUnits = async (
  format: FormatName,
  image: Uint8Array,
  unit: number,
): Promise<number[]> => {
  const disk = await formats[format].open(createMemoryImage(image))
  const offsets: number[] = []
  for await (const { offset, length, kind } of disk.extents()) {
    if (kind === 'hole') continue
    for (let at = offset; at < offset + length; at += unit) offsets.push(at)
  }
  return offsets
}

const differingUnits = (bytes: Uint8Array, baseBytes: Uint8Array, unit: number): number[] => {
  const base = new Uint8Array(Math.max(bytes.length, baseBytes.length))
  base.set(baseBytes)
  const offsets: number[] = []
  for (let at = 0; at < bytes.length; at += unit) {
    const end = Math.min(bytes.length, at + unit)
    if (Buffer.compare(bytes.subarray(at, end), base.subarray(at, end)) !== 0) offsets.push(at)
  }
  return offsets
}

const runs = { numRuns: 2 }
const formatAtRest = fc.constantFrom<FormatName>('qcow2', 'vhd')

describe('a delta, imported onto its base, gives the VDI', () => {
  test.each(pairs)('unrelated: %s on %s', async (name, baseName) => {
    await fc.assert(
      fc.asyncProperty(
        contents[name],
        contents[baseName],
        fc.constantFrom(size, size - MiB, size + 3 * SECTOR_SIZE),
        formatAtRest,
        async (content, baseContent, baseSize, format) => {
          const on = await createTestStorage()
          const vdi = await on.createVdi(size, format)
          const base = await on.createVdi(baseSize, format)
          await on.write(vdi, content(size))
          await on.write(base, baseContent(baseSize))
          await expectDeltas(on, { vdi, base })
        },
      ),
      runs,
    )
  })

  test.each(pairs)('on the same layer: %s and %s', async (name, baseName) => {
    await fc.assert(
      fc.asyncProperty(
        random,
        contents[name],
        contents[baseName],
        fc.boolean(),
        async (below, content, baseContent, isGrown) => {
          const on = await createTestStorage()
          const base = await on.createVdi(size)
          await on.write(base, below(size))
          const vdiSize = isGrown ? size + MiB : size
          const vdi = await on.clone(base, { virtualSize: vdiSize })
          await on.write(vdi, content(vdiSize))
          await on.write(base, baseContent(size))
          await expectDeltas(on, { vdi, base })
        },
      ),
      runs,
    )
  })

  test('the comparison alone finds a difference of one byte', async () => {
    const [disk, base] = [createMemoryDisk(size), createMemoryDisk(size)]
    const sector = new Uint8Array(SECTOR_SIZE)
    await base.write(MiB, sector)
    sector[511] = 1
    await disk.write(MiB, sector)
    const builder = createBlockMapBuilder()
    builder.add(size, 'data')
    const map = await narrowChanges(disk, base, builder.finish())
    expect(map.countBytes('data')).toBe(64 * KiB)
  })
})
