// Extents without HTTP. What is listed for which chain is in test/unit/routes/vdi-extents.test.ts.

import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { MapEntry } from '../../../src/disk/block-map-json.ts'
import type { ExtentsRequest } from '../../../src/operations/list-vdi-extents.ts'
import { listVdiExtents } from '../../../src/operations/list-vdi-extents.ts'
import { snapshotVdi } from '../../../src/operations/snapshot-vdi.ts'
import { noTask } from '../../../src/transfer/with-task.ts'
import { KiB, MiB } from '../../../src/units.ts'
import type { TestContent } from '../../support/content.ts'
import { createTestContent, diskSize } from '../../support/content.ts'

const list = async ({ context }: TestContent, request: ExtentsRequest) => {
  const entries: MapEntry[] = []
  let tag = ''
  await listVdiExtents(context, request, noTask, async ({ runs, entryOf, etag }) => {
    for await (const run of runs) entries.push(entryOf(run))
    tag = etag
  })
  return { entries, tag }
}

test('the data of a VDI, and what differs from its snapshot', async () => {
  const on = await createTestContent()
  const vdiUuid = await on.create()
  await on.write(vdiUuid, 0, 1)
  const baseUuid = await snapshotVdi(on.context, vdiUuid)
  await on.write(vdiUuid, MiB, 2)
  const held = ({ entries }: { entries: MapEntry[] }) =>
    entries.filter(({ data }) => data).map(({ start, length, depth }) => [start, length, depth])
  const whole = await list(on, { vdiUuid })
  const delta = await list(on, { vdiUuid, baseUuid })
  expect(held(whole)).toEqual([
    [0, 64 * KiB, 1],
    [MiB, 64 * KiB, 0],
  ])
  expect(held(delta)).toEqual([[MiB, 64 * KiB, 0]])
  expect(delta.tag).not.toBe(whole.tag)
  const range = await list(on, { vdiUuid, offset: MiB, length: 4 * KiB })
  expect(range.entries).toMatchObject([{ start: MiB, length: 4 * KiB, data: true }])
  expect(range.tag).not.toBe(whole.tag)
  expect(await on.storage.contents.isRead(on.srUuid)).toBe(false)
})

test('an unknown VDI, and a range that leaves it, are refused', async () => {
  const on = await createTestContent()
  const vdiUuid = await on.create()
  const refused = (request: ExtentsRequest, error: object) =>
    expect(list(on, request)).rejects.toMatchObject(error)
  await refused({ vdiUuid: randomUUID() }, { code: 'HANDLE_INVALID' })
  const offset = diskSize + 1
  await refused({ vdiUuid, offset }, { code: 'INVALID_VALUE', params: ['offset', `${offset}`] })
  const length = diskSize + 1
  await refused({ vdiUuid, length }, { code: 'INVALID_VALUE', params: ['length', `${length}`] })
})
