// Reads that take turns: one wait for all of them, and every byte is counted.

import { expect, test } from 'vitest'
import { createMemoryDisk } from '../../../src/disk/memory-disk.ts'
import { createTurnedDisk, measureData } from '../../../src/transfer/turned-disk.ts'
import { createTurns } from '../../../src/transfer/turns.ts'
import { MiB } from '../../../src/units.ts'
import { freeTurn } from '../../support/turns.ts'

const size = 16 * MiB

test('reads are counted once they are done', async () => {
  let read = 0
  const disk = createTurnedDisk(createMemoryDisk(size), freeTurn(), (bytes) => (read += bytes))
  await disk.read(0, new Uint8Array(512))
  await disk.read(MiB, new Uint8Array(MiB))
  expect(read).toBe(MiB + 512)
  await expect(disk.read(size, new Uint8Array(512))).rejects.toThrow(RangeError)
  expect(read).toBe(MiB + 512)
})

test('where others wait and enough was read, they come first', async () => {
  const turns = createTurns(1)
  const [turn, other] = [turns.turn('reader'), turns.turn('other')]
  void turn.take()
  const waiting = other.take()
  let read = 0
  const disk = createTurnedDisk(createMemoryDisk(size), turn, (bytes) => (read += bytes))
  const reads = [0, 1, 2, 3, 4, 5].map((at) => disk.read(at * MiB, new Uint8Array(MiB)))
  await waiting
  expect(read).toBeLessThan(6 * MiB)
  expect(turns.waiting).toBe(1)
  other.end()
  await Promise.all(reads)
  expect(read).toBe(6 * MiB)
})

test('only data is measured', async () => {
  const disk = createMemoryDisk(size)
  expect(await measureData(disk)).toBe(0)
  await disk.write(MiB, new Uint8Array(512).fill(1))
  const [data] = (await Array.fromAsync(disk.extents())).filter(({ kind }) => kind === 'data')
  expect(await measureData(disk)).toBe(data!.length)
})
