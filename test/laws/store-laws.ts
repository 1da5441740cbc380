// What every Store keeps, whatever its layers lie on.

import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { collectBlockMap } from '../../src/disk/block-map.ts'
import { createChainDisk } from '../../src/disk/chain-disk.ts'
import type { FormatName } from '../../src/format-table.ts'
import { formatsAtRest } from '../../src/format-table.ts'
import type { Store } from '../../src/store/files/store.ts'
import { layerFileName } from '../../src/store/files/store.ts'
import { KiB, MiB } from '../../src/units.ts'
import { createPatternDisk, expectSameBytes, listExtents, readAll } from '../support/disks.ts'
import { lawDisks, writeDisk } from './format-laws.ts'

const timestamp = new Date('2026-01-02T03:04:05Z')

/** @param open a fresh, empty store */
export const storeLaws = (name: string, open: () => Promise<Store>): void => {
  const content = () => createPatternDisk(lawDisks['scattered']!)

  const writeWhole = async (store: Store, format: FormatName) => {
    const layer = { uuid: randomUUID(), format }
    const draft = await store.createLayer(layer, { size: content().size, timestamp })
    await writeDisk(content(), draft, MiB)
    return { layer, draft }
  }

  for (const format of formatsAtRest) {
    test(`${name}, ${format}: a sealed layer opens with its content and knows its holes`, async () => {
      const store = await open()
      const { layer, draft } = await writeWhole(store, format)
      const bytes = await draft.seal()
      expect(bytes).toBeGreaterThan(3 * MiB)
      await draft.abort()
      const disk = await store.openLayer(layer)
      expectSameBytes(await readAll(disk), await readAll(content()))
      const inHole = { offset: 5 * MiB, length: MiB }
      expect((await listExtents(disk, inHole)).map(({ kind }) => kind)).not.toContain(
        name === 'memory' && format === 'raw' ? 'none' : 'data',
      )
      await disk.close()
    })

    test(`${name}, ${format}: an aborted layer is nowhere`, async () => {
      const store = await open()
      const { layer, draft } = await writeWhole(store, format)
      await draft.abort()
      await draft.abort()
      await expect(store.openLayer(layer)).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
      // The name is free again: nothing was left in staging.
      const again = await store.createLayer(layer, { size: MiB, timestamp })
      await again.abort()
    })

    test(`${name}, ${format}: a removed layer is gone, and one that was never there is fine`, async () => {
      const store = await open()
      const { layer, draft } = await writeWhole(store, format)
      await draft.seal()
      await store.removeLayer(layer)
      await store.removeLayer(layer)
      await expect(store.openLayer(layer)).rejects.toMatchObject({
        code: 'VDI_IO_ERROR',
        message: expect.stringContaining(layerFileName(layer)),
      })
    })
  }

  test.each(formatsAtRest.filter((format) => format !== 'raw'))(
    `${name}: a %s layer on a parent holds only what was written`,
    async (format) => {
      const store = await open()
      const { layer: parent, draft } = await writeWhole(store, 'qcow2')
      await draft.seal()
      const parentDisk = await store.openLayer(parent)
      const child = { uuid: randomUUID(), format }
      const upper = createPatternDisk(
        [
          ['hole', 130 * KiB],
          ['data', 70 * KiB],
          ['hole', MiB],
          ['zero', MiB + 64 * KiB],
          ['hole', parentDisk.size - 2 * MiB - 264 * KiB],
        ],
        5,
      )
      const over = await store.createLayer(child, {
        size: parentDisk.size,
        timestamp,
        parent: {
          ...parent,
          timestamp,
          fileName: layerFileName(parent),
          disk: parentDisk,
        },
      })
      await writeDisk(upper, over, 24 * KiB)
      await over.seal()
      const layers = await Promise.all(
        [upper, parentDisk].map(async (disk) => ({ disk, map: await collectBlockMap(disk) })),
      )
      const expected = await readAll(createChainDisk(layers, parentDisk.size))
      const opened = await store.openLayer(child)
      const chain = createChainDisk(
        [{ disk: opened, map: await collectBlockMap(opened) }, layers[1]!],
        parentDisk.size,
      )
      expectSameBytes(await readAll(chain), expected)
      const data = (await collectBlockMap(opened)).countBytes('data')
      expect(data).toBeLessThan(4 * MiB)
      await chain.close()
    },
  )

  test.each(formatsAtRest)(
    `${name}: a %s layer gets a new file that tells exactly what it is told`,
    async (format) => {
      const store = await open()
      const { layer, draft } = await writeWhole(store, format)
      await draft.seal()
      const before = await store.openLayer(layer)
      const shown = createPatternDisk(
        [
          ['hole', 65 * KiB],
          ['data', 70 * KiB],
          ['hole', MiB],
          ['zero', MiB + 3 * KiB],
          ['hole', content().size - 2 * MiB - 138 * KiB],
        ],
        7,
      )
      const map = await collectBlockMap(shown)
      const aborted = await store.replaceLayer(layer, { size: shown.size, timestamp })
      await aborted.seal(map)
      await aborted.abort()
      await aborted.abort()
      expectSameBytes(await readAll(before), await readAll(content()))

      const replacement = await store.replaceLayer(layer, { size: shown.size, timestamp })
      await writeDisk(shown, replacement, 24 * KiB)
      await replacement.seal(map)
      expect(await replacement.replace()).toBeGreaterThan(0)
      await replacement.abort()
      const after = await store.openLayer(layer)
      expect(await listExtents(after)).toEqual(await listExtents(shown))
      expectSameBytes(await readAll(after), await readAll(shown))
      // Who had the old file open reads on in it.
      expectSameBytes(await readAll(before), await readAll(content()))
      await before.close()
      await after.close()
    },
  )

  test.each(formatsAtRest)(`${name}: the map of a %s layer outlives its data`, async (format) => {
    const store = await open()
    const { layer, draft } = await writeWhole(store, format)
    await draft.seal()
    const whole = { ...layer, virtualSize: content().size, hasData: true }
    const map = await store.readMap(whole)
    await store.keepMap(layer, map)
    await store.keepMap(layer, map)
    expect([...(await store.readMap(whole)).runs()]).toEqual([...map.runs()])
    await store.removeData(layer)
    await store.removeData(layer)
    const kept = await store.readMap({ ...whole, hasData: false })
    expect([...kept.runs()]).toEqual([...map.runs()])
    await expect(store.openLayer(layer)).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
    await store.removeLayer(layer)
    const gone = store.readMap({ ...whole, hasData: false })
    await expect(gone).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
  })

  test(`${name}: what a crash left in staging goes at the next start`, async () => {
    const store = await open()
    const { layer, draft } = await writeWhole(store, 'raw')
    await draft.seal()
    const { draft: cut } = await writeWhole(store, 'vhd')
    const spool = await store.openSpool()
    const size = content().size
    const replacement = await store.replaceLayer(layer, { size, timestamp })
    await replacement.seal(await collectBlockMap(createPatternDisk([['zero', size]])))
    await store.clearStaging()
    await Promise.all([cut.abort(), spool.close(), replacement.abort()])
    const disk = await store.openLayer(layer)
    expectSameBytes(await readAll(disk), await readAll(content()))
    await disk.close()
    // The names are free again.
    await (await store.replaceLayer(layer, { size, timestamp })).abort()
  })

  test(`${name}: a layer that cannot be made leaves nothing`, async () => {
    const store = await open()
    const layer = { uuid: randomUUID(), format: 'qcow2' as const }
    await expect(store.createLayer(layer, { size: 0, timestamp })).rejects.toThrow('virtual size')
    const draft = await store.createLayer(layer, { size: MiB, timestamp })
    await expect(draft.seal()).resolves.toBeGreaterThan(0)
  })

  test(`${name}: a spool keeps bytes, and the space is told`, async () => {
    const store = await open()
    const spool = await store.openSpool()
    expect(await spool.append(new Uint8Array([1, 2, 3]))).toBe(0)
    const target = new Uint8Array(2)
    await spool.read(1, target)
    expect([...target]).toEqual([2, 3])
    // Zeros between, and at the end, where the file has nothing.
    expect(spool.appendZeros(2)).toBe(3)
    expect(await spool.append(new Uint8Array([6]))).toBe(5)
    expect(spool.appendZeros(2)).toBe(6)
    const all = new Uint8Array(8).fill(9)
    await spool.read(0, all)
    expect([...all]).toEqual([1, 2, 3, 0, 0, 6, 0, 0])
    await expect(spool.read(7, target)).rejects.toThrow(RangeError)
    await spool.close()
    const { size, used } = await store.space()
    expect(size).toBeGreaterThan(used)
  })
}
