// The laws for VMDK, and properties over random disks, planned and encoded.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Disk } from '../../src/disk/disk.ts'
import { planStoredVmdk } from '../../src/formats/vmdk/plan-stored.ts'
import { vmdk } from '../../src/formats/vmdk/vmdk.ts'
import type { Image } from '../../src/image/image.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { MiB } from '../../src/units.ts'
import { diskLaws } from '../laws/disk-laws.ts'
import { decodeBytes, formatLaws, lawDisks, rebuild, testIdentity } from '../laws/format-laws.ts'
import { anyDisk } from '../support/any-disk.ts'
import type { PatternPart } from '../support/disks.ts'
import { createPatternDisk, expectSameBytes, readAll } from '../support/disks.ts'
import { encodeAll } from '../support/encoded.ts'

const encode = (parts: readonly PatternPart[]): Promise<Uint8Array> =>
  encodeAll(vmdk, createPatternDisk(parts), 'streamOptimized')

const planAs = (subformat: string, disk: Disk): Promise<Image> =>
  subformat === 'stored' ? planStoredVmdk(disk, testIdentity) : vmdk.plan(disk, testIdentity)

describe('vmdk', () => {
  formatLaws(vmdk)

  describe('streamOptimized, stored', () => {
    formatLaws({ ...vmdk, plan: planStoredVmdk })
  })

  diskLaws('an opened monolithicSparse vmdk', async () => {
    const disk = createPatternDisk(lawDisks['scattered']!)
    return vmdk.open(createMemoryImage(await readAll(await vmdk.plan(disk, testIdentity))))
  })
  diskLaws('an opened streamOptimized vmdk', async () =>
    vmdk.open(createMemoryImage(await encode(lawDisks['scattered']!))),
  )

  describe.each(Object.entries(lawDisks))('streamOptimized, %s', (_name, parts) => {
    test('opens as the disk, and is rebuilt from a stream in any chunks', async () => {
      const bytes = await encode(parts)
      const expected = await readAll(createPatternDisk(parts))
      const opened = await vmdk.open(createMemoryImage(bytes))
      expectSameBytes(await readAll(opened), expected, 'opened')
      for (const chunks of [[bytes.length], [64 * 1024], [511, 1, 70_000, 3]]) {
        const decoded = await decodeBytes(vmdk, bytes, chunks)
        expect(decoded.virtualSize).toBe(expected.length)
        const rebuilt = await rebuild(decoded)
        expectSameBytes(await readAll(rebuilt), expected, `chunks of ${chunks.join()}`)
      }
    })

    test('is a function of disk and identity alone', async () => {
      expectSameBytes(await encode(parts), await encode(parts))
    })

    test('cut anywhere it is refused, its length known or not', async () => {
      const bytes = await encode(parts)
      const cuts = Array.from({ length: 30 }, (_, index) => Math.floor((bytes.length * index) / 30))
      for (const cut of [...cuts, bytes.length - 512, bytes.length - 1]) {
        const attempt = async () => rebuild(await decodeBytes(vmdk, bytes.subarray(0, cut)))
        await expect(attempt(), `cut at ${cut}`).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
      }
    })
  })
})

const chunkLengths = fc.array(fc.integer({ min: 1, max: 3 * MiB }), { minLength: 1, maxLength: 4 })

test.each(['monolithicSparse', 'streamOptimized', 'stored'])(
  '%s: any disk opens from its image and is rebuilt from its stream, cut anywhere',
  (subformat) =>
    fc.assert(
      fc.asyncProperty(anyDisk, chunkLengths, async (parts, chunks) => {
        const content = await readAll(createPatternDisk(parts))
        const bytes =
          subformat === 'streamOptimized'
            ? await encode(parts)
            : await readAll(await planAs(subformat, createPatternDisk(parts)), 700_001)
        const opened = await vmdk.open(createMemoryImage(bytes))
        expectSameBytes(await readAll(opened, 300_001), content, 'opened')
        const rebuilt = await rebuild(await decodeBytes(vmdk, bytes, chunks))
        expectSameBytes(await readAll(rebuilt), content, 'rebuilt')
      }),
      { numRuns: 25 },
    ),
)

test('an encoding that is left closes its disk', async () => {
  let closes = 0
  const disk = createPatternDisk(lawDisks['full']!)
  const watched = { ...disk, close: async () => void (closes += 1) }
  const chunks = vmdk.encode!(watched, testIdentity)
  await chunks.next()
  await chunks.return()
  expect(closes).toBe(1)
})
