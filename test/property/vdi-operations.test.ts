// Any sequence of writes, snapshots, clones, growth, copies and moves: each disk shows what a plain
// array of bytes says, deltas hold what differs, and nothing is left that nobody needs.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { FormatName } from '../../src/format-table.ts'
import { copyVdi } from '../../src/operations/copy-vdi.ts'
import { migrateVdi } from '../../src/operations/migrate-vdi.ts'
import { resizeVdi } from '../../src/operations/resize-vdi.ts'
import { cloneVdi } from '../../src/operations/clone-vdi.ts'
import { snapshotVdi } from '../../src/operations/snapshot-vdi.ts'
import { noTask } from '../../src/transfer/with-task.ts'
import { KiB } from '../../src/units.ts'
import type { TestContent } from '../support/content.ts'
import { createTestContent } from '../support/content.ts'
import { expectSameBytes, fillPattern } from '../support/disks.ts'

const firstSize = 512 * KiB
const unit = 512

/** One step; `disk` and `other` choose among the disks that there are then. */
type Step = { readonly disk: number; readonly other: number; readonly at: number } & (
  | { readonly kind: 'write' | 'zero'; readonly units: number }
  | { readonly kind: 'snapshot' | 'clone' | 'grow' | 'destroy' | 'copyInto' }
  | { readonly kind: 'copy' | 'migrate'; readonly place: 0 | 1; readonly format: FormatName }
)

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc
    .record({ disk: fc.nat(20), other: fc.nat(20), at: fc.nat(firstSize / unit - 1) })
    .chain((fixed) =>
      fc
        .oneof(
          {
            weight: 4,
            arbitrary: fc.record({
              kind: fc.constantFrom('write' as const, 'zero' as const),
              units: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 512 })),
            }),
          },
          {
            weight: 4,
            arbitrary: fc.record({
              kind: fc.constantFrom(
                'snapshot' as const,
                'snapshot' as const,
                'clone' as const,
                'grow' as const,
                'destroy' as const,
                'copyInto' as const,
              ),
            }),
          },
          {
            weight: 2,
            arbitrary: fc.record({
              kind: fc.constantFrom('copy' as const, 'migrate' as const),
              place: fc.constantFrom(0 as const, 1 as const),
              format: fc.constantFrom('raw' as const, 'vhd' as const, 'qcow2' as const),
            }),
          },
        )
        .map((rest) => ({ ...fixed, ...rest })),
    ),
  { maxLength: 14, size: 'max' },
)

/** What each disk must show. */
type Model = Map<string, Uint8Array>

const run = async (content: TestContent, model: Model, step: Step, seed: number): Promise<void> => {
  const { context, get, srUuid, otherSrUuid } = content
  const uuids = [...model.keys()]
  const uuid = uuids[step.disk % uuids.length]!
  const bytes = model.get(uuid)!
  const row = await get(uuid)
  if (step.kind === 'snapshot') model.set(await snapshotVdi(context, uuid), bytes)
  if (step.kind === 'clone') model.set(await cloneVdi(context, uuid), bytes)
  if (step.kind === 'destroy' && model.size > 1) {
    await content.catalog.vdis.destroy(uuid)
    content.storage.upkeep.collect(row.srUuid)
    model.delete(uuid)
  }
  if (step.kind === 'copy') {
    const place = [srUuid, otherSrUuid][step.place]!
    const request = { vdiUuid: uuid, srUuid: place, baseUuid: null, intoUuid: null }
    model.set(await copyVdi(context, request, noTask), bytes)
  }
  if (step.kind === 'migrate' && row.snapshotOfUuid === null) {
    const place = [srUuid, otherSrUuid][step.place]!
    await migrateVdi(context, { vdiUuid: uuid, srUuid: place, formatName: step.format }, noTask)
  }
  if (row.isSnapshot || row.readOnly) return
  const changed = new Uint8Array(bytes)
  if (step.kind === 'write' || step.kind === 'zero') {
    const offset = step.at * unit
    const length = Math.min(step.units * unit, bytes.length - offset)
    const part = changed.subarray(offset, offset + length)
    if (step.kind === 'write') {
      fillPattern(offset, part, seed)
      await content.write(uuid, offset, seed, length)
    } else {
      part.fill(0)
      await content.zero(uuid, offset, length)
    }
    model.set(uuid, changed)
  }
  if (step.kind === 'grow') {
    const grown = new Uint8Array(bytes.length + (step.at + 1) * unit)
    grown.set(bytes)
    await resizeVdi(context, uuid, grown.length)
    model.set(uuid, grown)
  }
  if (step.kind === 'copyInto') {
    const source = uuids[step.other % uuids.length]!
    const sourceBytes = model.get(source)!
    if (source === uuid || sourceBytes.length > bytes.length) return
    const request = { vdiUuid: source, srUuid: null, baseUuid: null, intoUuid: uuid }
    await copyVdi(context, request, noTask)
    changed.fill(0)
    changed.set(sourceBytes)
    model.set(uuid, changed)
  }
}

/** Where two disks differ, the delta of one on the other says so. */
const expectDelta = async (content: TestContent, model: Model, uuid: string, base: string) => {
  const { storage } = content
  const [found, below] = [model.get(uuid)!, model.get(base)!]
  const { disk } = await storage.contents.openDelta(uuid, base, { narrow: 'never' })
  const restored = new Uint8Array(found.length)
  restored.set(below.subarray(0, found.length))
  for await (const { kind, offset, length } of disk.extents()) {
    if (kind === 'zero') restored.fill(0, offset, offset + length)
    if (kind === 'data') await disk.read(offset, restored.subarray(offset, offset + length))
  }
  await disk.close()
  expectSameBytes(restored, found, 'the base with the delta')
}

describe('disks that are copied and moved', () => {
  test.each(['raw', 'vhd', 'qcow2'] as const)('%s: as a plain array of bytes', async (format) => {
    await fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        const content = await createTestContent({ format })
        const model: Model = new Map()
        model.set(
          await content.create({ virtualSize: firstSize, requestedFormat: format }),
          new Uint8Array(firstSize),
        )
        for (const [index, step] of steps.entries()) await run(content, model, step, index + 1)
        const uuids = [...model.keys()]
        for (const uuid of uuids) expectSameBytes(await content.read(uuid), model.get(uuid)!)
        for (const [index, uuid] of uuids.entries()) {
          await expectDelta(content, model, uuid, uuids[(index + 1) % uuids.length]!)
        }
        for (const uuid of uuids) await content.catalog.vdis.destroy(uuid)
        content.storage.upkeep.collect(content.srUuid)
        content.storage.upkeep.collect(content.otherSrUuid)
        expect(await content.layers()).toEqual({ here: 0, there: 0 })
        expect(content.errors).toEqual([])
      }),
      { numRuns: 40 },
    )
  })
})
