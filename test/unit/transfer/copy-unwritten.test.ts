import { expect, test } from 'vitest'
import { createMemoryDisk } from '../../../src/disk/memory-disk.ts'
import { copyUnwritten, createWriteRecorder } from '../../../src/transfer/copy-unwritten.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { createPatternDisk, createRecordingDisk, listExtents } from '../../support/disks.ts'
import { undisturbed } from '../../support/work.ts'

const size = 8 * MiB

test('copies the data that was neither written nor zeroed, and reads no other', async () => {
  const { disk: source, reads } = createRecordingDisk(
    createPatternDisk([
      ['data', 3 * MiB],
      ['zero', MiB],
      ['hole', MiB],
      ['data', 3 * MiB],
    ]),
  )
  const target = createMemoryDisk(size)
  const recorder = createWriteRecorder(target)
  await recorder.write(MiB, new Uint8Array(MiB).fill(1))
  await recorder.zero(size - MiB, MiB)
  await recorder.write(6 * MiB, new Uint8Array(64 * KiB).fill(1))
  await copyUnwritten(source, recorder, target, undisturbed)
  expect(reads).toEqual([
    { offset: 0, length: MiB },
    { offset: 2 * MiB, length: MiB },
    { offset: 5 * MiB, length: MiB },
    { offset: 6 * MiB + 64 * KiB, length: 960 * KiB },
  ])
  expect(await listExtents(target)).toEqual([
    { kind: 'data', offset: 0, length: 3 * MiB },
    { kind: 'hole', offset: 3 * MiB, length: 2 * MiB },
    { kind: 'data', offset: 5 * MiB, length: 2 * MiB },
    { kind: 'zero', offset: 7 * MiB, length: MiB },
  ])
})

test('of a source that is larger or smaller, what both have', async () => {
  for (const sourceSize of [2 * MiB, 16 * MiB]) {
    const source = createPatternDisk([['data', sourceSize]])
    const target = createMemoryDisk(size)
    await copyUnwritten(source, createWriteRecorder(target), target, undisturbed)
    const [first] = await listExtents(target)
    expect(first).toMatchObject({ kind: 'data', length: Math.min(sourceSize, size) })
  }
})
