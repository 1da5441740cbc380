// What a destination refuses of a move before anything is made.

import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { checkIncomingMove } from '../../../../src/operations/moves/check-incoming-move.ts'
import { GiB, MiB } from '../../../../src/units.ts'
import { createTestSr } from '../../../support/catalogs.ts'
import { createTestContent } from '../../../support/content.ts'

const start = async () => {
  const { context, catalog, storage, srUuid } = await createTestContent()
  const disk = {
    vdiUuid: randomUUID(),
    srUuid: null as string | null,
    formatName: '',
    requestedFormat: null,
    virtualSize: GiB,
    dataSize: MiB,
  }
  const check = (more: Partial<typeof disk>, vmUuids: string[] = []) =>
    checkIncomingMove(context, {
      disks: [{ ...disk, ...more }],
      others: [],
      networkUuids: [],
      vmUuids,
    })
  const attach = async (type: string, space?: { size: number; used: number }): Promise<string> => {
    const uuid = await createTestSr(catalog, { type, defaultFormat: 'qcow2' })
    const store = storage.stores.get(srUuid)
    storage.stores.attach(uuid, space ? { ...store, space: async () => space } : store)
    return uuid
  }
  return { context, catalog, srUuid, disk, check, attach }
}

describe('a disk of a move', () => {
  test('gets the format that was asked for, or the driver chooses', async () => {
    const { srUuid, check } = await start()
    expect(await check({ formatName: 'VHD' })).toEqual([
      { srUuid, format: 'vhd', requestedFormat: 'vhd' },
    ])
    const [chosen] = await check({ formatName: '' })
    expect(chosen).toMatchObject({ srUuid, requestedFormat: null })
    const [kept] = await check({ requestedFormat: 'vhd' as never })
    expect(kept).toEqual({ srUuid, format: 'vhd', requestedFormat: 'vhd' })
  })

  test('is refused in a format that the storage manager does not list', async () => {
    const { srUuid, check } = await start()
    await expect(check({ formatName: 'vmdk' })).rejects.toMatchObject({
      code: 'VDI_INCOMPATIBLE_TYPE',
      params: [`OpaqueRef:${srUuid}`, `Image format vmdk is not supported by ${srUuid}`],
    })
  })

  test('is not checked where the storage manager lists none, but for words that mean nothing', async () => {
    const { catalog, check, attach } = await start()
    await catalog.sms.create({
      nameLabel: 'unlisted',
      type: 'unlisted',
      supportedImageFormats: [],
    })
    const srUuid = await attach('unlisted')
    expect(await check({ srUuid, formatName: 'raw' })).toEqual([
      { srUuid, format: 'raw', requestedFormat: 'raw' },
    ])
    expect((await check({ srUuid }))[0]).toMatchObject({ format: 'qcow2', requestedFormat: null })
    await expect(check({ srUuid, formatName: 'vmdk' })).rejects.toMatchObject({
      code: 'VDI_INCOMPATIBLE_TYPE',
    })
  })

  test('is refused where there is no room, with the numbers', async () => {
    const { context, check, attach, disk } = await start()
    const srUuid = await attach('file', { size: 10 * MiB, used: 7 * MiB })
    expect(await check({ srUuid, dataSize: 3 * MiB })).toHaveLength(1)
    await expect(check({ srUuid, dataSize: 3 * MiB + 1 })).rejects.toMatchObject({
      code: 'SR_FULL',
      params: [String(3 * MiB + 1), String(3 * MiB)],
    })
    // All disks of one place together.
    const disks = [MiB, 2 * MiB, 1].map((dataSize) => ({ ...disk, srUuid, dataSize }))
    await expect(
      checkIncomingMove(context, { disks, others: [], networkUuids: [], vmUuids: [] }),
    ).rejects.toMatchObject({ code: 'SR_FULL' })
    // And what other parts of the question want.
    const others = [{ srUuid, dataSize: 3 * MiB }]
    const part = { disks: disks.slice(0, 1), others, networkUuids: [], vmUuids: [] }
    await expect(checkIncomingMove(context, part)).rejects.toMatchObject({ code: 'SR_FULL' })
  })

  test('is refused above the size of its format', async () => {
    const { check, disk } = await start()
    const virtualSize = 2040 * GiB + 512
    await expect(check({ formatName: 'vhd', virtualSize })).rejects.toMatchObject({
      code: 'VDI_TOO_LARGE',
      params: [`OpaqueRef:${disk.vdiUuid}`, String(2040 * GiB)],
    })
    expect(await check({ formatName: 'qcow2', virtualSize })).toHaveLength(1)
  })

  test('goes to the default storage repository, if there is one', async () => {
    const { catalog, check, disk } = await start()
    const [pool] = await catalog.pools.list()
    await catalog.pools.update(pool!.uuid, () => ({ defaultSrUuid: null }))
    await expect(check({})).rejects.toMatchObject({
      code: 'VDI_NOT_IN_MAP',
      params: [`OpaqueRef:${disk.vdiUuid}`],
    })
  })
})

test('a VM that is there already does not come', async () => {
  const { catalog, check } = await start()
  const { uuid } = await catalog.vms.create({ nameLabel: 'here' })
  await expect(check({}, [uuid])).rejects.toMatchObject({
    code: 'DUPLICATE_VM',
    params: [`OpaqueRef:${uuid}`],
  })
})
