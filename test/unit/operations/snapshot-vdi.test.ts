// Snapshots: rows on layers that are there, whatever becomes of their source.

import { describe, expect, test } from 'vitest'
import { METADATA_ONLY } from '../../../src/catalog/schema.ts'
import { snapshotVdi } from '../../../src/operations/snapshot-vdi.ts'
import { writeContent } from '../../../src/transfer/write-layer.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { createTestContent } from '../../support/content.ts'
import { expectSameBytes } from '../../support/disks.ts'
import { undisturbed } from '../../support/work.ts'

describe('a snapshot', () => {
  test('shows what the disk was, copies nothing, and stays when the disk goes', async () => {
    const { context, create, write, read, get, layers, catalog, storage, srUuid } =
      await createTestContent()
    const vdi = await create({
      nameLabel: 'a',
      otherConfig: { b: 'c' },
      tags: ['t'],
      requestedFormat: 'qcow2',
      cbtEnabled: true,
    })
    await write(vdi, 0, 1)
    const before = await read(vdi)
    const snapshot = await snapshotVdi(context, vdi)
    expect(await layers()).toEqual({ here: 1, there: 0 })
    const row = await get(vdi)
    const { uuid: _uuid, createdAt: _createdAt, ...same } = row
    expect(await get(snapshot)).toMatchObject({
      ...same,
      readOnly: false,
      isSnapshot: true,
      snapshotOfUuid: vdi,
      snapshotTime: expect.any(Date) as Date,
    })
    await write(vdi, 0, 2)
    await write(vdi, MiB, 2)
    expectSameBytes(await read(snapshot), before)
    await catalog.vdis.destroy(vdi)
    storage.upkeep.collect(srUuid)
    expect(await layers()).toEqual({ here: 1, there: 0 })
    expectSameBytes(await read(snapshot), before)
    expect((await get(snapshot)).snapshotOfUuid).toBeNull()
  })

  test('of a snapshot, and of a disk that was never written', async () => {
    const { context, create, write, get, read } = await createTestContent()
    const vdi = await create()
    const empty = await snapshotVdi(context, vdi)
    const again = await snapshotVdi(context, empty)
    expect(await get(again)).toMatchObject({ snapshotOfUuid: empty, layerUuid: null })
    await write(vdi, 0, 1)
    expect((await read(again)).every((byte) => byte === 0)).toBe(true)
  })

  test('in the middle of an import has the content before it', async () => {
    const { context, create, write, read, get } = await createTestContent()
    const vdi = await create()
    await write(vdi, 0, 1)
    const before = await read(vdi)
    const release = context.leases.take(vdi, 'an import')
    let snapshot = ''
    await writeContent(
      context,
      await get(vdi),
      { keepsContent: true, work: undisturbed },
      async (writer) => {
        await writer.write(0, new Uint8Array(64 * KiB).fill(9))
        snapshot = await snapshotVdi(context, vdi)
        await writer.write(MiB, new Uint8Array(64 * KiB).fill(9))
      },
    )
    release()
    expectSameBytes(await read(snapshot), before)
    expect((await read(vdi))[MiB]).toBe(9)
  })

  test('is refused while the disk moves, and where only metadata is left', async () => {
    const { context, create, catalog } = await createTestContent()
    const vdi = await create()
    const release = context.leases.take(vdi, 'OpaqueRef:task', 'mirror')
    await expect(snapshotVdi(context, vdi)).rejects.toMatchObject({
      code: 'OTHER_OPERATION_IN_PROGRESS',
      message: `The VDI ${vdi} is being moved by OpaqueRef:task`,
    })
    release()
    const destroyed = await create({ type: METADATA_ONLY })
    await expect(snapshotVdi(context, destroyed)).rejects.toMatchObject({
      code: 'VDI_INCOMPATIBLE_TYPE',
      params: [`OpaqueRef:${destroyed}`, METADATA_ONLY],
    })
    expect(await catalog.vdis.list()).toHaveLength(2)
  })
})
