// The laws for tar, and properties over random disks.

import fc from 'fast-check'
import { describe, test } from 'vitest'
import type { PlanOptions } from '../../src/formats/format.ts'
import { tar } from '../../src/formats/tar/tar.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { MiB } from '../../src/units.ts'
import { diskLaws } from '../laws/disk-laws.ts'
import { decodeBytes, formatLaws, lawDisks, rebuild, testIdentity } from '../laws/format-laws.ts'
import { anyDisk } from '../support/any-disk.ts'
import { block, endMark, patternAt, tarEntry, sha1Entry } from '../support/block-tars.ts'
import { createPatternDisk, expectSameBytes, readAll, readRange } from '../support/disks.ts'

describe('tar', () => {
  formatLaws(tar)

  for (const subformat of ['sha1', 'xxhash']) {
    diskLaws(`an opened tar with ${subformat}`, async () => {
      const disk = createPatternDisk(lawDisks['scattered']!)
      return tar.open(
        createMemoryImage(await readAll(await tar.plan(disk, testIdentity, { subformat }))),
      )
    })
  }
  diskLaws('an opened tar of small blocks, with empty ones between', async () => {
    const names = ['00000000', '00000002', '00000003', '00000009']
    const content = [patternAt(0, 4096), patternAt(8192, 4096), undefined, patternAt(32_768, 1024)]
    const entries = names.map((name, index) => block(name, content[index] ?? new Uint8Array(0)))
    return tar.open(createMemoryImage(Buffer.concat([...entries, endMark])))
  })
})

const options: fc.Arbitrary<PlanOptions> = fc.constantFrom(
  {},
  { subformat: 'sha1' },
  { subformat: 'xxhash' },
)

const runs = { numRuns: 25 }

test('any disk opens from its plan, and is rebuilt from its stream, its size known or not', () =>
  fc.assert(
    fc.asyncProperty(
      anyDisk,
      options,
      fc.array(fc.integer({ min: 1, max: 3 * MiB }), { minLength: 1, maxLength: 4 }),
      async (parts, chosen, chunks) => {
        const disk = createPatternDisk(parts)
        const content = await readAll(disk)
        const bytes = await readAll(await tar.plan(disk, testIdentity, chosen), 700_001)
        const opened = await tar.open(createMemoryImage(bytes))
        expectSameBytes(await readAll(opened, 300_001), content, 'opened')
        for (const diskSize of [undefined, disk.size]) {
          const decoded = await decodeBytes(tar, bytes, chunks, diskSize)
          expectSameBytes(await readAll(await rebuild(decoded)), content, `size ${diskSize}`)
        }
      },
    ),
    runs,
  ))

test('any ranges of an image, in any order, are those of the whole', () =>
  fc.assert(
    fc.asyncProperty(
      options,
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 3 * MiB })), { minLength: 4 }),
      async (chosen, ranges) => {
        const parts = lawDisks['scattered']!
        const whole = await readAll(await tar.plan(createPatternDisk(parts), testIdentity, chosen))
        const image = await tar.plan(createPatternDisk(parts), testIdentity, chosen)
        const reads = ranges.map(async ([start, asked]) => {
          const offset = start % image.size
          const length = Math.min(asked, image.size - offset)
          expectSameBytes(
            await readRange(image, offset, length),
            whole.subarray(offset, offset + length),
            `${length} at ${offset}`,
          )
        })
        await Promise.all(reads)
      },
    ),
    runs,
  ))

/** What follows a block: nothing, blocks of zeros that are left out, or a file that only counts. */
const gaps = fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant('empty' as const)), {
  maxLength: 4,
})

test('any gaps and empty files between blocks read the same at rest and from a stream', () =>
  fc.assert(
    fc.asyncProperty(fc.array(gaps, { maxLength: 8 }), async (blocks) => {
      const size = 1024
      const entries: Buffer[] = [block('vdi/00000000', patternAt(0, size))]
      const expected: Uint8Array[] = [patternAt(0, size)]
      let [number, offset] = [0, size]
      for (const before of blocks) {
        for (const gap of before) {
          number += gap === 'empty' ? 1 : gap
          if (gap === 'empty') {
            const name = `vdi/${String(number).padStart(8, '0')}`
            entries.push(tarEntry({ name }), sha1Entry(name, new Uint8Array(0)))
          } else {
            offset += gap * size
            expected.push(new Uint8Array(gap * size))
          }
        }
        number += 1
        entries.push(block(`vdi/${String(number).padStart(8, '0')}`, patternAt(offset, size)))
        expected.push(patternAt(offset, size))
        offset += size
      }
      const bytes = Buffer.concat([...entries, endMark])
      const opened = await tar.open(createMemoryImage(bytes))
      expectSameBytes(await readAll(opened, 700), Buffer.concat(expected), 'opened')
      const rebuilt = await rebuild(await decodeBytes(tar, bytes, [999]))
      expectSameBytes(await readAll(rebuilt), Buffer.concat(expected), 'rebuilt')
    }),
    runs,
  ))
