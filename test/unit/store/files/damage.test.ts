// What reading a broken layer throws, wherever its reader meets the damage.

import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { readRanges } from '../../../../src/disk/read-ranges.ts'
import { AppError, imageError } from '../../../../src/errors.ts'
import type { FormatName } from '../../../../src/format-table.ts'
import type { Image } from '../../../../src/image/image.ts'
import { asDamage } from '../../../../src/store/files/damage.ts'
import type { LayerFolder } from '../../../../src/store/files/layer-folder.ts'
import { createLayerStore } from '../../../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../../../src/store/files/memory-folder.ts'
import { KiB } from '../../../../src/units.ts'
import { readAll } from '../../../support/disks.ts'

const size = 256 * KiB

/** A layer with some data, in a folder whose reads `spoil` may change. */
const createLayer = async (
  format: FormatName,
  spoil: (bytes: Uint8Array, offset: number) => void,
) => {
  const folder = createMemoryFolder()
  const spoiled: LayerFolder = {
    ...folder,
    async open(name) {
      const image = await folder.open(name)
      return image && spoilReads(image, spoil)
    },
  }
  const layer = { uuid: randomUUID(), format }
  const draft = await createLayerStore(folder).createLayer(layer, { size, timestamp: new Date() })
  await draft.write(0, new Uint8Array(64 * KiB).fill(7))
  await draft.write(128 * KiB + 512, new Uint8Array(512).fill(8))
  await draft.seal()
  return { store: createLayerStore(spoiled), layer, name: `${layer.uuid}.${format}` }
}

const spoilReads = (image: Image, spoil: (bytes: Uint8Array, offset: number) => void): Image => ({
  size: image.size,
  async read(offset, target, signal) {
    await image.read(offset, target, signal)
    spoil(target, offset)
  },
  close: async () => {},
})

describe('a layer that breaks', () => {
  test.each(['vhd', 'qcow2'] as const)(
    '%s: a byte of it, flipped: content, or a VDI_IO_ERROR that names the file',
    async (format) => {
      let at = -1
      const { store, layer, name } = await createLayer(format, (bytes, offset) => {
        if (at >= offset && at < offset + bytes.length) bytes[at - offset]! ^= 0xff
      })
      let failures = 0
      const readWhole = async (): Promise<number> => {
        const disk = await store.openLayer(layer)
        await Array.fromAsync(disk.extents())
        const { length } = await readAll(disk)
        await disk.close()
        return length
      }
      // Headers, tables and what follows them.
      for (at = 0; at < 330 * KiB; at += at < 2 * KiB ? 3 : 1021) {
        const outcome = await readWhole().catch((error: unknown) => error)
        if (typeof outcome === 'number') continue
        failures += 1
        expect(outcome).toMatchObject({
          code: 'VDI_IO_ERROR',
          message: expect.stringContaining(`The file ${name} in the storage repository is damaged`),
        })
      }
      expect(failures).toBeGreaterThan(20)
    },
  )

  test('after it was opened, to who walks over it and to who reads', async () => {
    let isBroken = false
    const { store, layer, name } = await createLayer('qcow2', (bytes) => {
      if (isBroken) bytes.fill(0x7e)
    })
    const disk = await store.openLayer(layer)
    isBroken = true
    const damaged = { code: 'VDI_IO_ERROR', message: expect.stringContaining(name) }
    await expect(Array.fromAsync(disk.extents())).rejects.toMatchObject(damaged)
    await expect(disk.read(0, new Uint8Array(512))).rejects.toMatchObject(damaged)
    const apart = [0, 128 * KiB].map((offset) => ({ offset, length: 512 }))
    await expect(readRanges(disk, apart, new Uint8Array(1024))).rejects.toMatchObject(damaged)
  })

  test('by the storage: the error of the operating system is told', async () => {
    const { store, layer, name } = await createLayer('vhd', () => {
      throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' })
    })
    await expect(store.openLayer(layer)).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      message: `The file ${name} in the storage repository cannot be read: EIO: i/o error, read`,
    })
  })

  test('a reader who is cancelled, and a mistake of ours, are no damage', () => {
    const cancelled = new AppError('TASK_CANCELLED', ['OpaqueRef:task'])
    const mistake = new TypeError('undefined is not a function')
    for (const error of [cancelled, mistake]) expect(asDamage(error, 'file')).toBe(error)
    const damage = asDamage(imageError('Cannot open qcow2', 'cluster_bits is 8'), 'file')
    expect(damage).toMatchObject({ code: 'VDI_IO_ERROR' })
    expect(asDamage(damage, 'other')).toBe(damage)
  })
})
