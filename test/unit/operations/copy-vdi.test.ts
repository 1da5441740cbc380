// Copies of disks: whole ones and differences, into new disks and into those that are there, and
// all that is refused before anything is made.

import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { METADATA_ONLY } from '../../../src/catalog/schema.ts'
import { createLayerStore } from '../../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../../src/store/files/memory-folder.ts'
import type { CopyRequest } from '../../../src/operations/copy-vdi.ts'
import { copyVdi } from '../../../src/operations/copy-vdi.ts'
import { snapshotVdi } from '../../../src/operations/snapshot-vdi.ts'
import { noTask } from '../../../src/transfer/with-task.ts'
import { GiB, KiB, MiB } from '../../../src/units.ts'
import { createTestSr } from '../../support/catalogs.ts'
import type { TestContent } from '../../support/content.ts'
import { createTestContent, diskSize, wrapWriting } from '../../support/content.ts'
import { expectSameBytes } from '../../support/disks.ts'

const nothing = { srUuid: null, baseUuid: null, intoUuid: null }

const copy = ({ context }: TestContent, request: Partial<CopyRequest> & { vdiUuid: string }) =>
  copyVdi(context, { ...nothing, ...request }, noTask)

/** A disk in two layers, with something in its first and third MiB. */
const createWritten = async (content: TestContent): Promise<string> => {
  const vdi = await content.create({ nameLabel: 'source', otherConfig: { a: 'b' } })
  await content.write(vdi, 2 * MiB - 512, 1, 3 * 512)
  await content.write(vdi, 0, 2, MiB)
  await content.zero(vdi, 64 * KiB, 128 * KiB)
  return vdi
}

describe('a copy into a new disk', () => {
  test.each([
    ['raw', 'here', null, 'qcow2'],
    ['vhd', 'here', 'vhd', 'vhd'],
    ['qcow2', 'there', null, 'raw'],
    ['raw', 'there', 'raw', 'raw'],
    ['vhd', 'there', null, 'raw'],
  ] as const)('of a %s one, %s, asked for as %s, lies in %s', async (format, where, asked, at) => {
    const content = await createTestContent({ format })
    const { create, write, read, get, formats, srUuid, otherSrUuid } = content
    const vdi = await create({ requestedFormat: asked, nameLabel: 'a', otherConfig: { b: 'c' } })
    await write(vdi, 2 * MiB - 512, 1, 1024)
    await write(vdi, 0, 2, MiB)
    const target = where === 'here' ? srUuid : otherSrUuid
    const made = await copy(content, { vdiUuid: vdi, srUuid: target })
    expectSameBytes(await read(made), await read(vdi))
    expect(await formats(made)).toEqual([at])
    expect(await get(made)).toMatchObject({
      srUuid: target,
      nameLabel: 'a',
      otherConfig: { b: 'c' },
      format: at,
      requestedFormat: asked,
      contentUuid: (await get(made)).layerUuid,
    })
  })

  test('of an empty disk, and of a snapshot, which it is not', async () => {
    const content = await createTestContent()
    const { create, get, read, context, otherSrUuid } = content
    const vdi = await create()
    const snapshot = await snapshotVdi(context, vdi)
    const made = await copy(content, { vdiUuid: snapshot, srUuid: otherSrUuid })
    expect((await read(made)).every((byte) => byte === 0)).toBe(true)
    expect(await get(made)).toMatchObject({
      readOnly: false,
      isSnapshot: false,
      snapshotOfUuid: null,
    })
  })

  test('of what differs from a base holds that and nothing else', async () => {
    const content = await createTestContent()
    const { read, write, context, otherSrUuid } = content
    const vdi = await createWritten(content)
    const base = await snapshotVdi(context, vdi)
    await write(vdi, 3 * MiB, 7)
    const made = await copy(content, { vdiUuid: vdi, baseUuid: base, srUuid: otherSrUuid })
    const expected = new Uint8Array(diskSize)
    expected.set((await read(vdi)).subarray(3 * MiB, 3 * MiB + 64 * KiB), 3 * MiB)
    expectSameBytes(await read(made), expected)
  })

  test('reads no holes, tells how far it is, and ends as a whole', async () => {
    const content = await createTestContent()
    const { context, create, write, otherSrUuid } = content
    const vdi = await create()
    await write(vdi, 0, 1, MiB)
    await write(vdi, 2 * MiB, 1, MiB)
    const fractions: number[] = []
    const task = { ...noTask, report: (fraction: number) => void fractions.push(fraction) }
    await copyVdi(context, { ...nothing, vdiUuid: vdi, srUuid: otherSrUuid }, task)
    expect(fractions).toEqual([0.5, 1])
  })
})

describe('a copy into a disk that is there', () => {
  test('makes its content the same, zeros where the source ends', async () => {
    const content = await createTestContent()
    const { create, write, read, otherSrUuid, layers } = content
    const vdi = await createWritten(content)
    const into = await create({
      srUuid: otherSrUuid,
      virtualSize: diskSize + MiB,
      format: 'vhd',
    })
    await write(into, diskSize, 9)
    await write(into, 3 * MiB, 9)
    expect(await copy(content, { vdiUuid: vdi, intoUuid: into })).toBe(into)
    const expected = new Uint8Array(diskSize + MiB)
    expected.set(await read(vdi))
    expectSameBytes(await read(into), expected)
    expect((await layers()).there).toBe(1)
  })

  test('with a base writes what differs, and makes what holds the base the source', async () => {
    const content = await createTestContent()
    const { context, create, write, zero, read, formats, otherSrUuid } = content
    const vdi = await createWritten(content)
    const base = await snapshotVdi(context, vdi)
    const into = await create({ srUuid: otherSrUuid })
    await copy(content, { vdiUuid: base, intoUuid: into })
    await write(vdi, 3 * MiB, 5)
    await zero(vdi, 0, 64 * KiB)
    await copy(content, { vdiUuid: vdi, baseUuid: base, intoUuid: into, srUuid: otherSrUuid })
    expectSameBytes(await read(into), await read(vdi))
    expect(await formats(into)).toEqual(['qcow2', 'qcow2'])
  })
})

describe('refused before anything is made', () => {
  const refusals: Record<
    string,
    [
      code: string,
      (content: TestContent, vdi: string) => Promise<Partial<CopyRequest> & { vdiUuid?: string }>,
    ]
  > = {
    'no place at all': ['INVALID_VALUE', async () => ({})],
    'an unknown storage repository': ['HANDLE_INVALID', async () => ({ srUuid: randomUUID() })],
    'an unknown base': [
      'HANDLE_INVALID',
      async ({ otherSrUuid }) => ({ srUuid: otherSrUuid, baseUuid: randomUUID() }),
    ],
    'an unknown target': ['HANDLE_INVALID', async () => ({ intoUuid: randomUUID() })],
    'a disk into itself': ['INVALID_VALUE', async (_content, vdi) => ({ intoUuid: vdi })],
    'a target that is too small': [
      'VDI_TOO_SMALL',
      async ({ create }) => ({ intoUuid: await create({ virtualSize: diskSize - 512 }) }),
    ],
    'a read-only target': [
      'VDI_READONLY',
      async ({ create }) => ({ intoUuid: await create({ readOnly: true }) }),
    ],
    'a snapshot as the target': [
      'VDI_READONLY',
      async ({ context, create }) => ({ intoUuid: await snapshotVdi(context, await create()) }),
    ],
    'a target that lies elsewhere': [
      'INVALID_VALUE',
      async ({ create, otherSrUuid }) => ({ intoUuid: await create(), srUuid: otherSrUuid }),
    ],
    'a target that something writes into': [
      'OTHER_OPERATION_IN_PROGRESS',
      async ({ create, context }) => {
        const intoUuid = await create()
        context.leases.take(intoUuid, 'an import')
        return { intoUuid }
      },
    ],
    'a read-only storage repository': [
      'SR_OPERATION_NOT_SUPPORTED',
      async ({ catalog }) => ({ srUuid: await createTestSr(catalog, { readOnly: true }) }),
    ],
    'a place that has no store now': [
      'HANDLE_INVALID',
      async ({ catalog }) => ({ srUuid: await createTestSr(catalog) }),
    ],
    'a disk that the format there does not hold': [
      'VDI_TOO_LARGE',
      async ({ catalog, create, storage }) => {
        const srUuid = await createTestSr(catalog, { defaultFormat: 'vhd' })
        storage.stores.attach(srUuid, createLayerStore(createMemoryFolder()))
        return { vdiUuid: await create({ virtualSize: 2041 * GiB }), srUuid }
      },
    ],
    'a disk whose data was destroyed': [
      'VDI_INCOMPATIBLE_TYPE',
      async ({ create, otherSrUuid }) => ({
        vdiUuid: await create({ type: METADATA_ONLY }),
        srUuid: otherSrUuid,
      }),
    ],
  }

  test.each(Object.keys(refusals))('%s', async (name) => {
    const [code, ask] = refusals[name]!
    const content = await createTestContent()
    const vdi = await content.create()
    await content.write(vdi, 0, 1)
    const request = await ask(content, vdi)
    const known = await content.catalog.vdis.list()
    await expect(copy(content, { vdiUuid: vdi, ...request })).rejects.toMatchObject({ code })
    expect(await content.catalog.vdis.list()).toEqual(known)
    expect(await content.layers()).toEqual({ here: 1, there: 0 })
  })
})

describe('a copy that does not end', () => {
  test.each(['new', 'into'])('because it was cancelled leaves nothing: %s', async (kind) => {
    let act = async (): Promise<void> => {}
    const content = await createTestContent({ wrap: wrapWriting(() => act()) })
    const { context, create, read, catalog, otherSrUuid, layers } = content
    const vdi = await createWritten(content)
    const into = await create({ srUuid: otherSrUuid })
    await content.write(into, 0, 9)
    const before = await read(into)
    const known = await catalog.vdis.list()
    act = async () => void context.transfers.cancel('OpaqueRef:task')
    const request = kind === 'new' ? { srUuid: otherSrUuid } : { intoUuid: into }
    const task = { ...noTask, ref: 'OpaqueRef:task' }
    await expect(
      copyVdi(context, { ...nothing, vdiUuid: vdi, ...request }, task),
    ).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    expect(await catalog.vdis.list()).toEqual(known)
    expectSameBytes(await read(into), before)
    expect((await layers()).there).toBe(1)
    expect(context.leases.holder(into)).toBeUndefined()
  })

  test('because a write failed leaves nothing', async () => {
    let act = async (): Promise<void> => {}
    const content = await createTestContent({ wrap: wrapWriting(() => act()) })
    const vdi = await createWritten(content)
    act = async () => {
      throw new Error('no space left')
    }
    const copying = copy(content, { vdiUuid: vdi, srUuid: content.otherSrUuid })
    await expect(copying).rejects.toThrow('no space left')
    expect(await content.catalog.vdis.list()).toHaveLength(1)
    expect((await content.layers()).there).toBe(0)
  })

  test('keeps what it reads: the source may change and go meanwhile', async () => {
    let act = async (): Promise<void> => {}
    const content = await createTestContent({ wrap: wrapWriting(() => act()) })
    const { catalog, storage, srUuid, read } = content
    const vdi = await createWritten(content)
    const before = await read(vdi)
    act = async () => {
      act = async () => {}
      await catalog.vdis.destroy(vdi)
      storage.upkeep.collect(srUuid)
      await storage.upkeep.settled()
    }
    const made = await copy(content, { vdiUuid: vdi, srUuid: content.otherSrUuid })
    expectSameBytes(await read(made), before)
    expect(await content.layers()).toEqual({ here: 0, there: 1 })
  })
})
