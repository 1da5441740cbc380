// What a new VDI is made with, and what is refused.

import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { CreateRequest } from '../../../src/operations/create-vdi.ts'
import { createVdi } from '../../../src/operations/create-vdi.ts'
import { GiB, MAXIMUM_DISK_SIZE } from '../../../src/units.ts'
import { createTestSr } from '../../support/catalogs.ts'
import { createTestContent } from '../../support/content.ts'

const request = (srUuid: string, more: Partial<CreateRequest> = {}): CreateRequest => ({
  srUuid,
  virtualSize: GiB,
  formatName: undefined,
  nameLabel: 'new',
  ...more,
})

describe('a new VDI', () => {
  test('lies in the format that its SR likes best, and holds nothing', async () => {
    const { context, get, read, srUuid, otherSrUuid } = await createTestContent()
    const uuid = await createVdi(context, request(srUuid, { virtualSize: 1025, tags: ['a'] }))
    expect(await get(uuid)).toMatchObject({
      srUuid,
      virtualSize: 1536,
      nameLabel: 'new',
      tags: ['a'],
      format: 'qcow2',
      requestedFormat: null,
      layerUuid: null,
    })
    expect(await read(uuid)).toEqual(new Uint8Array(1536))
    const other = await createVdi(context, request(otherSrUuid))
    expect(await get(other)).toMatchObject({ format: 'raw', requestedFormat: null })
  })

  test('lies in the format that was asked for, which is remembered', async () => {
    const { context, get, srUuid } = await createTestContent()
    const uuid = await createVdi(context, request(srUuid, { formatName: 'VHD' }))
    expect(await get(uuid)).toMatchObject({ format: 'vhd', requestedFormat: 'vhd' })
  })

  test('ends its task with it', async () => {
    const { context, catalog, srUuid } = await createTestContent()
    const ref = await catalog.tasks.create({ nameLabel: 'Async.VDI.create', userUuid: null })
    const uuid = await createVdi(context, request(srUuid), ref)
    const task = await catalog.tasks.get(ref)
    expect(task).toMatchObject({ status: 'success' })
    expect(task!.result).toContain(uuid)
  })

  test.each<[string, Partial<CreateRequest>, string, readonly string[]]>([
    ['of no size', { virtualSize: 0 }, 'INVALID_VALUE', ['virtual_size', '0']],
    ['of a size below 0', { virtualSize: -1 }, 'INVALID_VALUE', ['virtual_size', '-1']],
    [
      'that is too large for its format',
      { virtualSize: 2040 * GiB + 1, formatName: 'vhd' },
      'VDI_TOO_LARGE',
      ['OpaqueRef:NULL', String(2040 * GiB)],
    ],
    [
      'that is too large for any',
      { virtualSize: MAXIMUM_DISK_SIZE + 512 },
      'VDI_TOO_LARGE',
      ['OpaqueRef:NULL', String(MAXIMUM_DISK_SIZE)],
    ],
  ])('%s is refused', async (_name, more, code, params) => {
    const { context, catalog, srUuid } = await createTestContent()
    const creating = createVdi(context, request(srUuid, more))
    await expect(creating).rejects.toMatchObject({ code, params })
    expect(await catalog.vdis.list()).toEqual([])
  })

  test('in another format, in a read-only SR and in none is refused', async () => {
    const { context, catalog, storage, srUuid } = await createTestContent()
    const refused = (asked: CreateRequest, code: string) =>
      expect(createVdi(context, asked)).rejects.toMatchObject({ code })
    await refused(request(srUuid, { formatName: 'vmdk' }), 'VDI_INCOMPATIBLE_TYPE')
    const readOnlySr = await createTestSr(catalog, { readOnly: true })
    storage.stores.attach(readOnlySr, storage.stores.get(srUuid))
    await refused(request(readOnlySr), 'SR_OPERATION_NOT_SUPPORTED')
    await refused(request(randomUUID()), 'HANDLE_INVALID')
    expect(await catalog.vdis.list()).toEqual([])
  })
})
