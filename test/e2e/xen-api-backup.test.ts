// Backups as Xen Orchestra makes them, with its own library: a snapshot, its full, then deltas
// against the snapshot before, whose data goes as soon as there is a newer one; and each point in
// time restored.

import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { mergePart } from '../support/layers.ts'
import { shareServer } from '../support/server.ts'
import {
  convertSource,
  createRawSource,
  expectCleanImage,
  expectSameGuest,
} from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import { type CachedRecord, connectXenApi, untilGone, untilSeen } from '../support/xen-api.ts'
import type { XenApi } from '../support/xen-api.ts'
import { createXenApiVdi, exportFile, exportPath, importFile } from '../support/xen-api-disks.ts'

// The library warns of each connection that breaks: at the end of the file, that of its events.
vi.spyOn(console, 'warn').mockReturnValue()

const size = 24 << 20
const block = 64 << 10

/** What each round changes: whole blocks, some of them again, some that were empty before. */
const rounds = [
  [
    [2 * block, 3 * block],
    [200 * block, block],
  ],
  [
    [4 * block, 2 * block],
    [383 * block, block],
  ],
] as const
type Parts = (typeof rounds)[number]

/** What the disk holds before: sectors at the ends of blocks too. */
const first = [
  [512, 5 * block],
  [10 << 20, (6 << 20) + 512],
] as const

/** Writes `parts` into the VDI, and into `image`, which shows what it then holds. */
const change = async (
  xapi: XenApi,
  vdi: CachedRecord,
  image: string,
  parts: Parts,
): Promise<void> => {
  const folder = await createTestFolder()
  const raw = await createRawSource(folder, 'change.raw', { size, parts: [...parts], seed: 9 })
  expect(await importFile(xapi, vdi, await convertSource(raw, 'qcow2'), 'qcow2')).toBe(vdi.$ref)
  for (const [offset, length] of parts) await mergePart(image, raw, offset, length)
}

/** A bitmap with the bits of `parts`, as XenAPI has them. */
const bitmapOf = (parts: Parts): string => {
  const bytes = Buffer.alloc(size / block / 8)
  for (const [offset, length] of parts) {
    for (let index = offset / block; index < (offset + length) / block; index += 1) {
      bytes[index >> 3]! |= 0x80 >> (index & 7)
    }
  }
  return bytes.toString('base64')
}

const snapshotOf = async (xapi: XenApi, vdi: CachedRecord): Promise<CachedRecord> => {
  const ref = await xapi.callAsync<string>('VDI.snapshot', vdi.$ref, {})
  const snapshot = await untilSeen(xapi, 'the snapshot', ({ $ref }) => $ref === ref)
  expect(snapshot).toMatchObject({ is_a_snapshot: true, snapshot_of: vdi.$ref, cbt_enabled: true })
  return snapshot
}

describe.skipIf(!hasTool('qemu-img'))('a backup by xen-api', async () => {
  const server = await shareServer()

  test.each(['vhd', 'qcow2'] as const)(
    'in %s: each point in time, restored, is what the disk was',
    async (format) => {
      const xapi = await connectXenApi(server)
      const folder = await createTestFolder()
      const source = await createRawSource(folder, 'shown.raw', { size, parts: first })
      const vdi = await createXenApiVdi(xapi, size)
      await importFile(xapi, vdi, source, 'raw')
      await xapi.callAsync('VDI.enable_cbt', vdi.$ref)

      let last = await snapshotOf(xapi, vdi)
      const images = [await exportFile(xapi, { vdi: last.$ref, format })]
      const shown = [join(folder, '0.raw')]
      await copyFile(source, shown[0]!)
      for (const [index, parts] of rounds.entries()) {
        await change(xapi, vdi, source, parts)
        const next = await snapshotOf(xapi, vdi)
        images.push(await exportFile(xapi, { vdi: next.$ref, base: last.$ref, format }))
        shown.push(join(folder, `${index + 1}.raw`))
        await copyFile(source, shown.at(-1)!)

        await xapi.callAsync('VDI.data_destroy', last.$ref)
        expect(await xapi.barrier(last.$ref)).toMatchObject({ type: 'cbt_metadata' })
        const bitmap = await xapi.callAsync('VDI.list_changed_blocks', last.$ref, next.$ref)
        expect(bitmap).toBe(bitmapOf(parts))
        const lost = xapi.getResource(exportPath, { query: { vdi: last.$ref, format } })
        await expect(lost).rejects.toMatchObject({ message: 'unexpected 400' })
        await xapi.callAsync('VDI.destroy', last.$ref)
        await untilGone(xapi, last.uuid)
        last = next
      }

      const restored = await createXenApiVdi(xapi, size)
      for (const [index, image] of images.entries()) {
        await expectCleanImage(image, format)
        expect(await importFile(xapi, restored, image, format)).toBe(restored.$ref)
        const raw = await exportFile(xapi, { vdi: restored.$ref, format: 'raw' })
        await expectSameGuest([raw, 'raw'], [shown[index]!, 'raw'])
      }
      // The points in time differ, and the last snapshot still is the last of them.
      await expect(expectSameGuest([shown[0]!, 'raw'], [shown[1]!, 'raw'])).rejects.toThrow(
        'Content mismatch',
      )
      const now = await exportFile(xapi, { vdi: last.$ref, format: 'raw' })
      await expectSameGuest([now, 'raw'], [shown.at(-1)!, 'raw'])
      for (const { $ref } of [last, vdi, restored]) await xapi.callAsync('VDI.destroy', $ref)
      expect(server.output()).not.toContain('"level":50')
    },
  )
})
