// L2 tables that come and go between memory and file.

import { expect, test } from 'vitest'
import { LayerTables } from '../../../../../src/formats/qcow2/layer/layer-tables.ts'
import type { WritableImage } from '../../../../../src/image/image.ts'
import { createMemoryImage } from '../../../../../src/image/memory-image.ts'

const tableSize = 65_536

/** A file whose writes and reads end when the test lets them, in any order. */
const createSlowFile = () => {
  const file = createMemoryImage()
  const waiting: (() => void)[] = []
  const counts = { reads: 0, writes: 0 }
  let isSlow = false
  const wait = async (): Promise<void> => {
    if (isSlow) await new Promise<void>((resolve) => waiting.push(resolve))
  }
  const slow: WritableImage = {
    get size() {
      return file.size
    },
    async read(offset, target) {
      counts.reads += 1
      await wait()
      await file.read(offset, target)
    },
    async write(offset, source) {
      counts.writes += 1
      // What goes to the file is what was there at the call.
      const bytes = new Uint8Array(source)
      await wait()
      await file.write(offset, bytes)
    },
    truncate: (size) => file.truncate(size),
    sync: () => file.sync(),
    close: () => file.close(),
  }
  return {
    file: slow,
    counts,
    slowDown: () => {
      isSlow = true
    },
    /** Lets all go on that waits, and all that comes. */
    release: () => {
      isSlow = false
      for (const go of waiting.splice(0)) go()
    },
  }
}

const createTables = (file: WritableImage, count: number, capacity: number) => {
  let next = 1
  const allocate = (): number => {
    next += 1
    return (next - 1) * tableSize
  }
  return new LayerTables(file, count, allocate, capacity)
}

const add = (tables: LayerTables, table: number): Promise<void> =>
  tables.change(table, (view) => view.setUint32(8, view.getUint32(8) + 1))
const valueOf = (tables: LayerTables, table: number): Promise<number | undefined> =>
  tables.look(table, (view) => view.getUint32(8))

test('tables that do not fit are in the file, and come back as they were', async () => {
  const { file, counts } = createSlowFile()
  const tables = createTables(file, 100, 3)
  for (let round = 0; round < 3; round += 1) {
    for (let table = 0; table < 20; table += 1) await add(tables, table)
  }
  for (let table = 0; table < 20; table += 1) expect(await valueOf(tables, table)).toBe(3)
  expect(await valueOf(tables, 50)).toBeUndefined()
  expect(tables.has(50)).toBe(false)
  expect(counts.reads).toBeGreaterThan(40)
})

test('tables that fit are never written before they are flushed, nor read', async () => {
  const { file, counts } = createSlowFile()
  const tables = createTables(file, 100, 20)
  for (let round = 0; round < 3; round += 1) {
    for (let table = 0; table < 20; table += 1) await add(tables, table)
  }
  expect(counts).toEqual({ reads: 0, writes: 0 })
  await tables.flush()
  await tables.flush()
  expect(counts).toEqual({ reads: 0, writes: 20 })
})

test('a table that was only looked at is not written again', async () => {
  const { file, counts } = createSlowFile()
  const tables = createTables(file, 100, 2)
  for (let table = 0; table < 10; table += 1) await add(tables, table)
  await tables.flush()
  const { writes } = counts
  for (let table = 0; table < 10; table += 1) await valueOf(tables, table)
  expect(counts.writes).toBe(writes)
})

test('many steps at once on more tables than fit lose nothing', async () => {
  const { file } = createSlowFile()
  const tables = createTables(file, 100, 2)
  const steps: Promise<void>[] = []
  for (let round = 0; round < 50; round += 1) {
    for (let table = 0; table < 7; table += 1) steps.push(add(tables, (table * 3 + round) % 7))
  }
  await Promise.all(steps)
  for (let table = 0; table < 7; table += 1) expect(await valueOf(tables, table)).toBe(50)
})

test('a change made while its table is on its way to the file is not lost', async () => {
  const { file, slowDown, release } = createSlowFile()
  const tables = createTables(file, 100, 1)
  await add(tables, 0)
  await add(tables, 1)
  slowDown()
  // There is no room for a third: table 0 is being written when it is changed once more.
  const third = add(tables, 2)
  const again = add(tables, 0)
  await again
  release()
  await third
  await add(tables, 3)
  await add(tables, 4)
  expect(await valueOf(tables, 0)).toBe(2)
})

test('a file that cannot be written fails the step that needed room', async () => {
  const file = createMemoryImage()
  const failing: WritableImage = {
    ...file,
    size: 0,
    write: async () => Promise.reject(new Error('ENOSPC')),
  }
  const tables = createTables(failing, 100, 1)
  await add(tables, 0)
  await add(tables, 1)
  await expect(add(tables, 2)).rejects.toThrow('ENOSPC')
  await expect(tables.flush()).rejects.toThrow('ENOSPC')
})
