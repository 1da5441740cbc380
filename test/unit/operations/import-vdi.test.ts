// Imports without HTTP: what becomes of the VDI, its lease and its task when one succeeds, is
// refused or breaks.

import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { METADATA_ONLY } from '../../../src/catalog/schema.ts'
import type { VdiRow } from '../../../src/catalog/vdis.ts'
import type { Disk } from '../../../src/disk/disk.ts'
import { AppError } from '../../../src/errors.ts'
import type { FormatName } from '../../../src/format-table.ts'
import { formats } from '../../../src/formats/registry.ts'
import { importVdi } from '../../../src/operations/import-vdi.ts'
import type { ImportRequest, Upload } from '../../../src/operations/vdi/import-request.ts'
import type { TaskHandle } from '../../../src/transfer/with-task.ts'
import { noTask } from '../../../src/transfer/with-task.ts'
import { KiB, MiB } from '../../../src/units.ts'
import type { TestContent } from '../../support/content.ts'
import { createTestContent, diskSize } from '../../support/content.ts'
import {
  createPatternDisk,
  cutInChunks,
  expectSameBytes,
  fillPattern,
  readAll,
} from '../../support/disks.ts'
import { createTestStorage } from '../../support/storage.ts'

const identity = { uuid: '0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0', timestamp: new Date(1e12) }

const imageOf = async (format: FormatName, disk: Disk): Promise<Uint8Array> =>
  readAll(await formats[format].plan(disk, identity))

/** Data at the start and at the end, nothing in between. */
const patternDisk = (seed: number): Disk =>
  createPatternDisk(
    [
      ['data', MiB],
      ['hole', diskSize - 2 * MiB],
      ['data', MiB],
    ],
    seed,
  )

interface TestUpload extends Upload {
  /** How often the body was asked for. */
  readonly accepted: number
}

/** An upload of `bytes` whose length is announced. */
const uploadOf = (bytes: Uint8Array, more: Partial<Upload> = {}): TestUpload => {
  let accepted = 0
  return {
    length: bytes.length,
    accept() {
      accepted += 1
      return cutInChunks(bytes, [1, 511, 64 * KiB])
    },
    ...more,
    get accepted() {
      return accepted
    },
  }
}

const into = (vdiUuid: string, more: Partial<ImportRequest> = {}): ImportRequest => ({
  target: { vdiUuid },
  replace: false,
  chunked: false,
  ...more,
})

/** Nothing of the import is left, and the next may begin. */
const expectUntouched = async (on: TestContent, uuid: string, before: VdiRow): Promise<void> => {
  expect(await on.get(uuid)).toEqual(before)
  expect(await on.layers()).toEqual({ here: before.layerUuid === null ? 0 : 1, there: 0 })
  expect(on.context.leases.holder(uuid)).toBeUndefined()
  expect(on.context.transfers.running).toBe(0)
}

describe('an import', () => {
  test.each(['raw', 'vhd', 'qcow2'] as const)(
    'of %s is the content of the VDI, and its task ends with the commit',
    async (formatName) => {
      const on = await createTestContent()
      const vdi = await on.create()
      const ref = await on.catalog.tasks.create({ nameLabel: 'upload', userUuid: null })
      const reports: number[] = []
      const task: TaskHandle = { ...noTask, ref, report: (fraction) => reports.push(fraction) }
      const upload = uploadOf(await imageOf(formatName, patternDisk(1)))
      expect(await importVdi(on.context, into(vdi, { formatName }), task, upload)).toEqual({
        vdiUuids: [vdi],
        vmUuids: [],
      })
      expectSameBytes(await on.read(vdi), await readAll(patternDisk(1)))
      expect(await on.catalog.tasks.get(ref)).toMatchObject({ status: 'success' })
      expect(reports.at(-1)).toBeCloseTo(1, 3)
      expect(upload.accepted).toBe(1)
      expect(await on.layers()).toEqual({ here: 1, there: 0 })
      expect(on.context.leases.holder(vdi)).toBeUndefined()
    },
  )

  test.each([
    [false, 1],
    [true, undefined],
  ])('with replace=%s over older content', async (replace, seedBetween) => {
    const on = await createTestContent()
    const vdi = await on.create()
    await on.write(vdi, 2 * MiB, 1, MiB)
    const upload = uploadOf(await imageOf('qcow2', patternDisk(2)))
    await importVdi(on.context, into(vdi, { formatName: 'qcow2', replace }), noTask, upload)
    const expected = await readAll(patternDisk(2))
    if (seedBetween !== undefined) {
      const older = await readAll(createPatternDisk([['data', diskSize]], seedBetween))
      expected.set(older.subarray(2 * MiB, 3 * MiB), 2 * MiB)
    }
    expectSameBytes(await on.read(vdi), expected)
  })

  test('into an SR makes a VDI of the size of its image', async () => {
    const on = await createTestContent()
    const { defaultFormat } = (await on.catalog.srs.get(on.srUuid))!
    const target = { srUuid: 'default', nameLabel: 'uploaded' }
    const request = { target, formatName: 'vhd', replace: false, chunked: false }
    const upload = uploadOf(await imageOf('vhd', patternDisk(3)))
    const { vdiUuids } = await importVdi(on.context, request, noTask, upload)
    const uuid = vdiUuids[0]!
    expect(await on.get(uuid)).toMatchObject({
      srUuid: on.srUuid,
      nameLabel: 'uploaded',
      virtualSize: diskSize,
      format: defaultFormat,
    })
    expectSameBytes(await on.read(uuid), await readAll(patternDisk(3)))
  })

  test('holds the VDI from its first byte to its commit', async () => {
    const on = await createTestContent()
    const vdi = await on.create()
    const bytes = await imageOf('raw', patternDisk(4))
    const seen: unknown[] = []
    const second = uploadOf(bytes)
    const upload = uploadOf(bytes, {
      async *accept() {
        seen.push(on.context.leases.holder(vdi), on.context.leases.operation(vdi))
        yield bytes.subarray(0, MiB)
        const other = importVdi(on.context, into(vdi), noTask, second)
        await expect(other).rejects.toMatchObject({ code: 'OTHER_OPERATION_IN_PROGRESS' })
        yield bytes.subarray(MiB)
      },
    })
    await importVdi(on.context, into(vdi), { ...noTask, ref: 'OpaqueRef:mine' }, upload)
    expect(seen).toEqual(['OpaqueRef:mine', 'import'])
    expect(second.accepted).toBe(0)
    expectSameBytes(await on.read(vdi), bytes)
  })
})

describe('before the body is asked for, an import is refused', () => {
  test.each<[string, Partial<VdiRow>, Partial<ImportRequest>, number, string]>([
    ['a read-only VDI', { readOnly: true }, {}, diskSize, 'VDI_READONLY'],
    ['a snapshot', { isSnapshot: true }, {}, diskSize, 'VDI_READONLY'],
    ['a VDI without data', { type: METADATA_ONLY }, {}, diskSize, 'VDI_INCOMPATIBLE_TYPE'],
    ['an unknown format', {}, { formatName: 'vmfs' }, diskSize, 'VALUE_NOT_SUPPORTED'],
    ['another size than the VDI has', {}, { size: 512 }, diskSize, 'INVALID_VALUE'],
    ['more than the VDI holds', {}, { formatName: 'raw' }, 2 * diskSize, 'VDI_TOO_SMALL'],
    ['no byte at all', {}, {}, 0, 'VDI_IO_ERROR'],
  ])('%s', async (_name, row, request, length, code) => {
    const on = await createTestContent()
    const vdi = await on.create(row)
    const before = await on.get(vdi)
    const upload = uploadOf(new Uint8Array(0), { length })
    const importing = importVdi(on.context, into(vdi, request), noTask, upload)
    await expect(importing).rejects.toMatchObject({ code })
    expect(upload.accepted).toBe(0)
    await expectUntouched(on, vdi, before)
  })

  test('conditions of the client that do not hold', async () => {
    const on = await createTestContent()
    const vdi = await on.create()
    const before = await on.get(vdi)
    const shown: unknown[] = []
    const requireConditions = (present: VdiRow | undefined): void => {
      shown.push(present?.uuid)
      throw new AppError('INVALID_VALUE', ['if-match', ''])
    }
    const upload = uploadOf(new Uint8Array(diskSize))
    const importing = importVdi(on.context, into(vdi, { requireConditions }), noTask, upload)
    await expect(importing).rejects.toMatchObject({ code: 'INVALID_VALUE' })
    expect(shown).toEqual([vdi])
    expect(upload.accepted).toBe(0)
    await expectUntouched(on, vdi, before)
  })

  test('an unknown VDI, and an unknown SR', async () => {
    const { context } = await createTestContent()
    const uuid = randomUUID()
    const upload = uploadOf(new Uint8Array(512))
    await expect(importVdi(context, into(uuid), noTask, upload)).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
      params: ['VDI', `OpaqueRef:${uuid}`],
    })
    const request = { ...into(uuid), target: { srUuid: uuid, nameLabel: '' } }
    await expect(importVdi(context, request, noTask, upload)).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
      params: ['SR', `OpaqueRef:${uuid}`],
    })
    expect(upload.accepted).toBe(0)
  })

  test('a VDI that another has taken, which goes on', async () => {
    const on = await createTestContent()
    const vdi = await on.create()
    const release = on.context.leases.take(vdi, 'a copy', 'copy')
    const upload = uploadOf(new Uint8Array(diskSize))
    await expect(importVdi(on.context, into(vdi), noTask, upload)).rejects.toMatchObject({
      code: 'OTHER_OPERATION_IN_PROGRESS',
      message: `The VDI ${vdi} is being written by a copy`,
    })
    expect(upload.accepted).toBe(0)
    expect(on.context.leases.holder(vdi)).toBe('a copy')
    release()
    await importVdi(on.context, into(vdi), noTask, upload)
  })

  test('a mere question is answered, and takes nothing', async () => {
    const on = await createTestContent()
    const vdi = await on.create()
    const before = await on.get(vdi)
    const upload = uploadOf(new Uint8Array(0), { mayAsk: true })
    expect((await importVdi(on.context, into(vdi), noTask, upload)).vdiUuids).toEqual([vdi])
    await expectUntouched(on, vdi, before)
  })
})

describe('an import that breaks leaves the VDI as it was', () => {
  /** A VDI with content. */
  const start = async () => {
    const on = await createTestContent()
    const vdi = await on.create()
    await on.write(vdi, 0, 9)
    return { ...on, vdi, before: await on.get(vdi) }
  }

  test.each(['raw', 'vhd', 'qcow2'] as const)('a body of %s that was cut', async (formatName) => {
    const on = await start()
    const { context, vdi, before } = on
    const bytes = await imageOf(formatName, createPatternDisk([['data', diskSize]]))
    const upload = uploadOf(bytes.subarray(0, 3 * MiB), { length: bytes.length })
    const importing = importVdi(context, into(vdi, { formatName }), noTask, upload)
    await expect(importing).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      message: expect.stringContaining(`${3 * MiB}`) as string,
    })
    await expectUntouched(on, vdi, before)
  })

  test('a client that leaves', async () => {
    const on = await start()
    const upload = uploadOf(new Uint8Array(diskSize), {
      async *accept() {
        yield new Uint8Array(MiB).fill(1)
        throw new Error('ECONNRESET')
      },
    })
    await expect(importVdi(on.context, into(on.vdi), noTask, upload)).rejects.toThrow(
      `the connection broke after ${MiB} bytes`,
    )
    await expectUntouched(on, on.vdi, on.before)
  })

  test('a digest that is not that of the body', async () => {
    const on = await start()
    const upload = uploadOf(new Uint8Array(diskSize).fill(1), {
      verify() {
        throw new AppError('INVALID_VALUE', ['content-digest', ''])
      },
    })
    await expect(importVdi(on.context, into(on.vdi), noTask, upload)).rejects.toMatchObject({
      code: 'INVALID_VALUE',
    })
    await expectUntouched(on, on.vdi, on.before)
  })

  test('a task that is cancelled in the middle', async () => {
    const on = await start()
    const ref = 'OpaqueRef:task'
    const upload = uploadOf(new Uint8Array(diskSize), {
      async *accept() {
        yield new Uint8Array(MiB).fill(1)
        expect(on.context.transfers.cancel(ref)).toBe(true)
        yield new Uint8Array(diskSize - MiB).fill(1)
      },
    })
    const importing = importVdi(on.context, into(on.vdi), { ...noTask, ref }, upload)
    await expect(importing).rejects.toMatchObject({ code: 'TASK_CANCELLED', params: [ref] })
    await expectUntouched(on, on.vdi, on.before)
  })

  test('an image that is not what the client says', async () => {
    const on = await start()
    const upload = uploadOf(await imageOf('vhd', patternDisk(1)))
    const importing = importVdi(on.context, into(on.vdi, { formatName: 'qcow2' }), noTask, upload)
    await expect(importing).rejects.toMatchObject({
      message: expect.stringMatching(/vhd/i) as string,
    })
    await expectUntouched(on, on.vdi, on.before)
  })
})

test('a cancelled import stops the copy that makes a chain of 64 layers whole', async () => {
  const [size, seed, taskRef] = [32 * MiB, 7, 'OpaqueRef:import']
  let reads = 0
  let onRead = (): void => {}
  const { context, createVdi, write, read, vdi, catalog, srUuid, storage } =
    await createTestStorage((store) => ({
      ...store,
      async openLayer(layer) {
        const disk = await store.openLayer(layer)
        return {
          ...disk,
          read(offset, target, signal) {
            reads += 1
            onRead()
            return disk.read(offset, target, signal)
          },
        }
      },
    }))
  const uuid = await createVdi(size)
  await write(uuid, [{ offset: 0, length: size, seed }])
  for (let index = 1; index < 64; index += 1) {
    await write(uuid, [{ offset: 0, length: 64 * KiB, seed: index }])
  }
  const before = await read(uuid)
  const { layerUuid } = await vdi(uuid)

  // The client sends the first MiB; the copy of the others is cancelled in its third piece.
  const sent = new Uint8Array(MiB)
  fillPattern(0, sent, seed)
  reads = 0
  onRead = () => {
    if (reads === 3) context.transfers.cancel(taskRef)
  }
  const importing = importVdi(
    context,
    { target: { vdiUuid: uuid }, formatName: 'raw', replace: false, chunked: false },
    { ...noTask, ref: taskRef },
    { length: sent.length, accept: () => cutInChunks(sent, [64 * KiB]) },
  )
  await expect(importing).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
  expect(reads).toBe(3)
  onRead = () => {}

  expect((await vdi(uuid)).layerUuid).toBe(layerUuid)
  expect(await catalog.layers.list(srUuid)).toHaveLength(64)
  expect(await storage.upkeep.recover()).toBe(0)
  expectSameBytes(await read(uuid), before)
})
