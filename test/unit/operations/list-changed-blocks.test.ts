// The bitmap of changed blocks. How it is encoded is in disk/changed-bitmap.test.ts.

import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { listChangedBlocks } from '../../../src/operations/list-changed-blocks.ts'
import { snapshotVdi } from '../../../src/operations/snapshot-vdi.ts'
import { KiB } from '../../../src/units.ts'
import { createTestContent } from '../../support/content.ts'

test('one bit for each block that was written since the snapshot', async () => {
  const { context, create, write, storage, srUuid } = await createTestContent()
  const vdi = await create()
  await write(vdi, 0, 1)
  const snapshot = await snapshotVdi(context, vdi)
  await write(vdi, 3 * 64 * KiB, 2)
  const bitmap = async (from: string, to: string) =>
    Buffer.from((await listChangedBlocks(context, from, to)).toString(), 'base64').toString('hex')
  // 64 blocks; the first block is the highest bit.
  expect(await bitmap(snapshot, vdi)).toBe('1000000000000000')
  expect(await bitmap(snapshot, snapshot)).toBe('0000000000000000')
  expect(await storage.contents.isRead(srUuid)).toBe(false)
})

test('an unknown VDI is refused', async () => {
  const { context, create } = await createTestContent()
  const vdi = await create()
  for (const [from, to] of [
    [randomUUID(), vdi],
    [vdi, randomUUID()],
  ] as const) {
    await expect(listChangedBlocks(context, from, to)).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
    })
  }
})
