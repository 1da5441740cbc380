// Disks that move with their snapshots: all of them at once or none, and what they share stays
// shared.

import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { FormatName } from '../../../src/format-table.ts'
import { METADATA_ONLY } from '../../../src/catalog/schema.ts'
import { migrateVdi } from '../../../src/operations/migrate-vdi.ts'
import { cloneVdi } from '../../../src/operations/clone-vdi.ts'
import { snapshotVdi } from '../../../src/operations/snapshot-vdi.ts'
import { noTask } from '../../../src/transfer/with-task.ts'
import { writeContent } from '../../../src/transfer/write-layer.ts'
import { GiB, KiB, MiB } from '../../../src/units.ts'
import { createTestSr } from '../../support/catalogs.ts'
import type { TestContent } from '../../support/content.ts'
import { createTestContent, diskSize, wrapWriting } from '../../support/content.ts'
import { expectSameBytes } from '../../support/disks.ts'
import { undisturbed } from '../../support/work.ts'

const migrate = ({ context }: TestContent, vdiUuid: string, srUuid: string, formatName?: string) =>
  migrateVdi(
    context,
    { vdiUuid, srUuid, ...(formatName === undefined ? {} : { formatName }) },
    noTask,
  )

/**
 * A disk of 1 MiB and more with three snapshots between small changes, oldest first, the disk last.
 */
const createFamily = async (content: TestContent, more = {}): Promise<string[]> => {
  const { context, create, write, zero } = content
  const vdi = await create(more)
  await write(vdi, 0, 1, MiB)
  await write(vdi, 2 * MiB, 1, MiB)
  const first = await snapshotVdi(context, vdi)
  await write(vdi, MiB - 512, 2, 1024)
  await write(vdi, 3 * MiB, 2)
  await zero(vdi, 128 * KiB, 64 * KiB)
  const second = await snapshotVdi(context, vdi)
  const third = await snapshotVdi(context, vdi)
  await write(vdi, 64 * KiB, 3)
  return [first, second, third, vdi]
}

const readAllOf = (content: TestContent, uuids: readonly string[]) =>
  Promise.all(uuids.map((uuid) => content.read(uuid)))

const expectSameContent = async (
  content: TestContent,
  uuids: readonly string[],
  expected: readonly Uint8Array[],
): Promise<void> => {
  for (const [index, bytes] of (await readAllOf(content, uuids)).entries()) {
    expectSameBytes(bytes, expected[index]!, `disk ${index}`)
  }
}

const formats = ['raw', 'vhd', 'qcow2'] as const

describe('a migration', () => {
  test.each(formats.flatMap((from) => formats.map((to) => [from, to] as const)))(
    'from %s to %s takes the snapshots along, as a chain',
    async (from, to) => {
      const content = await createTestContent({ format: from })
      const { get, layers, deltaBytes, errors, otherSrUuid } = content
      const family = await createFamily(content)
      const [first, second, third, vdi] = family as [string, string, string, string]
      const before = await readAllOf(content, family)
      const delta = await deltaBytes(vdi, second)
      await migrate(content, vdi, otherSrUuid, to)

      await expectSameContent(content, family, before)
      for (const uuid of family) {
        expect(await get(uuid)).toMatchObject({
          srUuid: otherSrUuid,
          format: to,
          requestedFormat: to,
        })
      }
      // One layer for each content: the two layers between the first and the second are one now.
      expect(await layers()).toEqual({ here: 0, there: 3 })
      const chained = to === 'raw' ? 'qcow2' : to
      expect(await content.formats(vdi)).toEqual([chained, chained, to])
      expect((await get(second)).layerUuid).toBe((await get(third)).layerUuid)
      expect(await deltaBytes(vdi, second)).toBeLessThanOrEqual(delta)
      expect(await deltaBytes(third, second)).toBe(0)
      expect(await deltaBytes(second, first)).toBeLessThanOrEqual(4 * 64 * KiB)
      expect((await get(first)).snapshotOfUuid).toBe(vdi)
      expect(errors).toEqual([])
    },
  )

  test('to another format in the same place leaves a clone where it is', async () => {
    const content = await createTestContent()
    const { context, get, layers, srUuid } = content
    const family = await createFamily(content)
    const vdi = family.at(-1)!
    const clone = await cloneVdi(context, family[0]!)
    const all = [...family, clone]
    const before = await readAllOf(content, all)
    await migrate(content, vdi, srUuid, 'VHD')
    await expectSameContent(content, all, before)
    expect(await content.formats(vdi)).toEqual(['vhd', 'vhd', 'vhd'])
    expect(await content.formats(clone)).toEqual(['qcow2', 'qcow2'])
    expect((await get(clone)).format).toBe('qcow2')
    expect((await layers()).here).toBe(5)
  })

  test.each([
    ['the format that was asked for once, where it is held', ['qcow2', 'vhd'], 'vhd', 'vhd'],
    ['the default, where it is not', ['qcow2'], 'qcow2', null],
  ] as const)('chooses %s', async (_name, supported, format, requestedFormat) => {
    const content = await createTestContent({ format: 'vhd' })
    const { catalog, create, get, storage, srUuid } = content
    await catalog.sms.create({ nameLabel: '', type: 'odd', supportedImageFormats: supported })
    const sr = await createTestSr(catalog, { type: 'odd', defaultFormat: 'qcow2' })
    storage.stores.attach(sr, storage.stores.get(srUuid))
    const vdi = await create({ requestedFormat: 'vhd' })
    await migrate(content, vdi, sr)
    expect(await get(vdi)).toMatchObject({ srUuid: sr, format, requestedFormat, layerUuid: null })
  })

  test('to where the disk is does nothing, but remembers the format that was named', async () => {
    const content = await createTestContent()
    const { get, srUuid, layers } = content
    const family = await createFamily(content)
    const vdi = family.at(-1)!
    const { layerUuid } = await get(vdi)
    const known = await layers()
    await migrate(content, vdi, srUuid)
    expect(await get(vdi)).toMatchObject({ layerUuid, requestedFormat: null })
    await migrate(content, vdi, srUuid, 'qcow2')
    for (const uuid of family) expect((await get(uuid)).requestedFormat).toBe('qcow2')
    expect((await get(vdi)).layerUuid).toBe(layerUuid)
    expect(await layers()).toEqual(known)
  })

  test('keeps when the content was sealed, and names the content anew', async () => {
    const content = await createTestContent()
    const { get, otherSrUuid } = content
    const family = await createFamily(content)
    const vdi = family.at(-1)!
    const before = await get(vdi)
    await migrate(content, vdi, otherSrUuid)
    const after = await get(vdi)
    expect(after.contentAt).toEqual(before.contentAt)
    expect(after.contentUuid).not.toBe(before.contentUuid)
    expect(after.contentUuid).toBe(after.layerUuid)
  })

  test('of a disk that grew after its snapshot, and whose data has gone from one', async () => {
    const content = await createTestContent()
    const { catalog, context, create, write, read, get, otherSrUuid, srUuid } = content
    const vdi = await create()
    await write(vdi, 0, 1)
    const snapshot = await snapshotVdi(context, vdi)
    await catalog.vdis.resize(vdi, diskSize + MiB)
    await write(vdi, diskSize, 2)
    const before = await readAllOf(content, [vdi, snapshot])
    const gone = await create({ isSnapshot: true, snapshotOfUuid: vdi, type: METADATA_ONLY })
    await migrate(content, vdi, otherSrUuid, 'vhd')
    await expectSameContent(content, [vdi, snapshot], before)
    expect((await get(gone)).srUuid).toBe(srUuid)
    expect((await read(vdi)).length).toBe(diskSize + MiB)
  })

  test('takes the disk and its snapshots for as long as it runs, and lets them be read', async () => {
    let act = async (): Promise<void> => {}
    const content = await createTestContent({ wrap: wrapWriting(() => act()) })
    const { context, otherSrUuid, read } = content
    const family = await createFamily(content)
    const vdi = family.at(-1)!
    const before = await read(vdi)
    let looks = 0
    const task = { ...noTask, ref: 'OpaqueRef:task' }
    act = async () => {
      looks += 1
      for (const uuid of family) {
        expect(context.leases.holder(uuid)).toBe('OpaqueRef:task')
        expect(() => context.leases.take(uuid, 'an import')).toThrow('is being moved by')
      }
      await expect(snapshotVdi(context, vdi)).rejects.toMatchObject({
        code: 'OTHER_OPERATION_IN_PROGRESS',
      })
      expectSameBytes(await read(vdi), before)
    }
    await migrateVdi(context, { vdiUuid: vdi, srUuid: otherSrUuid }, task)
    expect(looks).toBeGreaterThan(2)
    for (const uuid of family) expect(context.leases.holder(uuid)).toBeUndefined()
  })

  test('holds what it has copied while layers that nobody needs are collected', async () => {
    let act = async (): Promise<void> => {}
    const content = await createTestContent({ wrap: wrapWriting(() => act()) })
    const { context, get, storage, otherSrUuid, srUuid } = content
    const family = await createFamily(content)
    // Begun anew: nothing that is copied later lies on the copies of the snapshots.
    const vdi = await get(family.at(-1)!)
    await writeContent(context, vdi, { keepsContent: false, work: undisturbed }, (writer) =>
      writer.write(0, new Uint8Array(64 * KiB).fill(7)),
    )
    const before = await readAllOf(content, family)
    act = async () => {
      storage.upkeep.collect(otherSrUuid)
      storage.upkeep.collect(srUuid)
      await storage.upkeep.settled()
    }
    await migrate(content, family.at(-1)!, otherSrUuid, 'qcow2')
    await expectSameContent(content, family, before)
  })
})

describe('a migration that fails leaves all where it was', () => {
  type Fail = (content: TestContent, vdi: string, snapshot: string) => Promise<unknown>
  const changed = { code: 'OTHER_OPERATION_IN_PROGRESS' }
  const failures: Record<string, [error: object, fail: Fail]> = {
    'because it was cancelled': [
      { code: 'TASK_CANCELLED' },
      async ({ context }) => context.transfers.cancel('OpaqueRef:task'),
    ],
    'because a write failed': [
      { message: 'no space left' },
      () => Promise.reject(new Error('no space left')),
    ],
    'because a snapshot went': [
      { code: 'HANDLE_INVALID' },
      ({ catalog }, _vdi, snapshot) => catalog.vdis.destroy(snapshot),
    ],
    'because a snapshot came past the leases': [
      changed,
      ({ create }, vdi) => create({ isSnapshot: true, snapshotOfUuid: vdi }),
    ],
    'because the content was changed past the leases': [
      changed,
      ({ write }, vdi) => write(vdi, 0, 9),
    ],
    'because the disk grew past the leases': [
      changed,
      ({ catalog }, vdi) => catalog.vdis.resize(vdi, diskSize + MiB),
    ],
  }

  test.each(Object.keys(failures))('%s', async (name) => {
    const [error, fail] = failures[name]!
    let act = async (): Promise<void> => {}
    const content = await createTestContent({ wrap: wrapWriting(() => act()) })
    const { context, get, read, layers, otherSrUuid, srUuid } = content
    const family = await createFamily(content)
    const [first, second, , vdi] = family as [string, string, string, string]
    const before = await read(second)
    let writes = 0
    act = async () => {
      writes += 1
      // The first two are those of the oldest snapshot, which is copied and sealed by then.
      if (writes === 3) await fail(content, vdi, first)
    }
    const task = { ...noTask, ref: 'OpaqueRef:task' }
    const migrating = migrateVdi(context, { vdiUuid: vdi, srUuid: otherSrUuid }, task)
    await expect(migrating).rejects.toMatchObject(error)
    expect((await layers()).there).toBe(0)
    for (const uuid of [second, vdi]) {
      expect(await get(uuid)).toMatchObject({ srUuid })
      expect(context.leases.holder(uuid)).toBeUndefined()
    }
    expectSameBytes(await read(second), before)
  })

  test('and a restart finds nothing of it', async () => {
    const content = await createTestContent()
    const { catalog, storage, otherSrUuid, layers } = content
    const family = await createFamily(content)
    const before = await readAllOf(content, family)
    await storage.upkeep.settled()
    // As a process leaves it that dies in the middle: one copy sealed, one being written on it.
    const store = storage.stores.get(otherSrUuid)
    const add = async (parentUuid: string | null) => {
      const layer = { uuid: randomUUID(), format: 'qcow2' as const }
      const createdAt = new Date()
      await catalog.layers.begin({
        ...layer,
        srUuid: otherSrUuid,
        parentUuid,
        virtualSize: diskSize,
        createdAt,
      })
      const draft = await store.createLayer(layer, { size: diskSize, timestamp: createdAt })
      return { ...layer, draft }
    }
    const sealed = await add(null)
    await catalog.layers.seal({
      uuid: sealed.uuid,
      parentUuid: null,
      fileSize: await sealed.draft.seal(),
    })
    await add(sealed.uuid)
    await storage.upkeep.recover()
    expect((await layers()).there).toBe(0)
    expect((await store.space()).used).toBe(0)
    await expectSameContent(content, family, before)
  })
})

describe('refused before anything is made', () => {
  const refusals: Record<
    string,
    [
      code: string,
      (
        content: TestContent,
        vdi: string,
      ) => Promise<{ vdi?: string; srUuid?: string; format?: string }>,
    ]
  > = {
    'a format that is not known': ['VDI_INCOMPATIBLE_TYPE', async () => ({ format: 'vmdk' })],
    'an unknown place': ['HANDLE_INVALID', async () => ({ srUuid: randomUUID() })],
    'a read-only place': [
      'SR_OPERATION_NOT_SUPPORTED',
      async ({ catalog }) => ({ srUuid: await createTestSr(catalog, { readOnly: true }) }),
    ],
    'a place that has no store now': [
      'HANDLE_INVALID',
      async ({ catalog }) => ({ srUuid: await createTestSr(catalog) }),
    ],
    'a disk that the format does not hold': [
      'VDI_TOO_LARGE',
      async ({ create }) => ({ vdi: await create({ virtualSize: 2041 * GiB }), format: 'vhd' }),
    ],
    'a snapshot whose disk is there': [
      'OPERATION_NOT_ALLOWED',
      async ({ context }, vdi) => ({ vdi: await snapshotVdi(context, vdi) }),
    ],
    'a disk that something writes into': [
      'OTHER_OPERATION_IN_PROGRESS',
      async ({ context }, vdi) => {
        await snapshotVdi(context, vdi)
        context.leases.take(vdi, 'an import')
        return {}
      },
    ],
    'a disk whose data was destroyed': [
      'VDI_INCOMPATIBLE_TYPE',
      async ({ create }) => ({ vdi: await create({ type: METADATA_ONLY }) }),
    ],
  }

  test.each(Object.keys(refusals))('%s', async (name) => {
    const [code, ask] = refusals[name]!
    const content = await createTestContent()
    const vdi = await content.create()
    await content.write(vdi, 0, 1)
    const asked = await ask(content, vdi)
    const known = await content.catalog.vdis.list()
    const { vdi: uuid = vdi, srUuid = content.otherSrUuid, format } = asked
    await expect(migrate(content, uuid, srUuid, format)).rejects.toMatchObject({ code })
    expect(await content.catalog.vdis.list()).toEqual(known)
    expect(await content.layers()).toEqual({ here: 1, there: 0 })
    for (const snapshot of await content.catalog.vdis.snapshotsOf(vdi)) {
      expect(content.context.leases.holder(snapshot.uuid)).toBeUndefined()
    }
  })

  test('a format that the place does not hold is told with both names', async () => {
    const content = await createTestContent()
    const { catalog, create } = content
    const held: readonly FormatName[] = ['qcow2']
    await catalog.sms.create({ nameLabel: '', type: 'odd', supportedImageFormats: held })
    const sr = await createTestSr(catalog, { type: 'odd', defaultFormat: 'qcow2' })
    await expect(migrate(content, await create(), sr, 'vhd')).rejects.toMatchObject({
      code: 'VDI_INCOMPATIBLE_TYPE',
      params: [`OpaqueRef:${sr}`, `Image format vhd is not supported by ${sr}`],
    })
  })
})
