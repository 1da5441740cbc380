// Disks that grow: their layers are shorter than they are.

import { describe, expect, test } from 'vitest'
import { resizeVdi } from '../../../src/operations/resize-vdi.ts'
import { snapshotVdi } from '../../../src/operations/snapshot-vdi.ts'
import { GiB, KiB, MAXIMUM_DISK_SIZE, MiB } from '../../../src/units.ts'
import { createTestSr } from '../../support/catalogs.ts'
import { createTestContent, diskSize } from '../../support/content.ts'
import { expectSameBytes, fillPattern } from '../../support/disks.ts'

describe('a disk that grows', () => {
  test.each(['raw', 'vhd', 'qcow2'] as const)(
    'in %s reads as zeros behind its old end, and takes imports there',
    async (format) => {
      const { context, create, write, read, get, deltaBytes } = await createTestContent({ format })
      const vdi = await create()
      const last = diskSize - 64 * KiB
      await write(vdi, last, 1)
      const snapshot = await snapshotVdi(context, vdi)
      // Not a multiple of any block or cluster.
      const size = diskSize + MiB + 512
      await resizeVdi(context, vdi, size - 100)
      expect((await get(vdi)).virtualSize).toBe(size)
      const expected = new Uint8Array(size)
      fillPattern(last, expected.subarray(last, diskSize), 1)
      expectSameBytes(await read(vdi), expected)

      const over = { offset: diskSize - 512, length: 1024 }
      await write(vdi, over.offset, 2, over.length)
      fillPattern(over.offset, expected.subarray(over.offset, over.offset + over.length), 2)
      await write(vdi, size - 512, 3, 512)
      fillPattern(size - 512, expected.subarray(size - 512), 3)
      expectSameBytes(await read(vdi), expected)
      expect((await read(snapshot)).length).toBe(diskSize)
      expect(await deltaBytes(vdi, snapshot)).toBeLessThanOrEqual(4 * 64 * KiB)
      expect(await deltaBytes(snapshot, vdi)).toBeLessThanOrEqual(64 * KiB)
    },
  )

  test('to the size that it has is fine; smaller is refused in words', async () => {
    const { context, create, get } = await createTestContent()
    const vdi = await create()
    await resizeVdi(context, vdi, diskSize)
    for (const size of [diskSize - 512, 0, -1]) {
      await expect(resizeVdi(context, vdi, size)).rejects.toMatchObject({
        code: 'INVALID_VALUE',
        params: ['size', expect.stringMatching(/^-?\d+$/) as string],
      })
    }
    await expect(resizeVdi(context, vdi, MiB)).rejects.toThrow(
      `VDI Invalid size: the VDI ${vdi} cannot be made smaller: it has 4194304 bytes (4 MiB), 1048576 bytes (1 MiB) were asked for`,
    )
    expect((await get(vdi)).virtualSize).toBe(diskSize)
  })

  test.each([
    ['vhd', 2040 * GiB],
    ['qcow2', MAXIMUM_DISK_SIZE],
    ['raw', MAXIMUM_DISK_SIZE],
  ] as const)('in %s up to what the format holds', async (format, maximum) => {
    const { context, create, get } = await createTestContent({ format })
    const vdi = await create()
    await resizeVdi(context, vdi, maximum)
    await expect(resizeVdi(context, vdi, maximum + 1)).rejects.toMatchObject({
      code: 'VDI_TOO_LARGE',
      params: [`OpaqueRef:${vdi}`, String(maximum)],
      message: expect.stringMatching(`has at most ${maximum} .*, not ${maximum + 512} `) as string,
    })
    expect((await get(vdi)).virtualSize).toBe(maximum)
  })

  test('is not a snapshot, nor busy, nor in a read-only place', async () => {
    const { context, create, storage, catalog } = await createTestContent()
    const vdi = await create()
    const snapshot = await snapshotVdi(context, vdi)
    await catalog.vdis.update(snapshot, () => ({ readOnly: false }))
    const refused = (uuid: string, code: string) =>
      expect(resizeVdi(context, uuid, GiB)).rejects.toMatchObject({ code })
    await refused(snapshot, 'VDI_READONLY')
    const release = context.leases.take(vdi, 'an import')
    await refused(vdi, 'OTHER_OPERATION_IN_PROGRESS')
    release()
    const srUuid = await createTestSr(catalog, { readOnly: true })
    storage.stores.attach(srUuid, storage.stores.get((await catalog.vdis.get(vdi))!.srUuid))
    await refused(await create({ srUuid }), 'SR_OPERATION_NOT_SUPPORTED')
    await resizeVdi(context, vdi, GiB)
  })
})
