// Exports without HTTP: what is lent to whoever sends it, what is refused, and what is given back.

import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { METADATA_ONLY } from '../../../src/catalog/schema.ts'
import { formats } from '../../../src/formats/registry.ts'
import type { ReadyExport } from '../../../src/operations/vdi/ready-export.ts'
import type { ExportRequest } from '../../../src/operations/vdi/open-export.ts'
import { exportVdi } from '../../../src/operations/export-vdi.ts'
import { snapshotVdi } from '../../../src/operations/snapshot-vdi.ts'
import { exportTag } from '../../../src/operations/vdi/validators.ts'
import { noTask } from '../../../src/transfer/with-task.ts'
import { KiB, MiB, TiB } from '../../../src/units.ts'
import type { TestContent } from '../../support/content.ts'
import { createTestContent, diskSize } from '../../support/content.ts'
import { expectSameBytes, listExtents, readAll } from '../../support/disks.ts'
import { plannedImage } from '../../support/exported.ts'
import { createMemoryImage } from '../../../src/image/memory-image.ts'

const asked = (vdiUuid: string, more: Partial<ExportRequest> = {}): ExportRequest => ({
  vdiUuid,
  formatName: 'raw',
  options: {},
  ...more,
})

/** All that is sent, and what stands beside it. */
const send = async ({ context }: TestContent, request: ExportRequest) => {
  let sent: (ReadyExport & { readonly bytes: Uint8Array }) | undefined
  await exportVdi(context, request, noTask, async (ready) => {
    await ready.open()
    sent = { ...ready, bytes: await readAll(plannedImage(ready)) }
    await ready.verify()
  })
  return sent!
}

describe('an export', () => {
  test.each(['raw', 'vhd', 'qcow2'] as const)('in %s shows the disk', async (formatName) => {
    const on = await createTestContent()
    const vdi = await on.create()
    await on.write(vdi, MiB, 1)
    const sent = await send(on, asked(vdi, { formatName }))
    const disk = await formats[formatName].open(createMemoryImage(sent.bytes))
    expectSameBytes(await readAll(disk), await on.read(vdi))
    const row = await on.get(vdi)
    expect(sent.etag).toBe(exportTag({ vdi: row, basis: '' }, formats[formatName], {}))
    expect(sent.fileName).toBe(`${vdi}.${formatName}`)
    expect(sent.changedAt.getTime()).toBeGreaterThanOrEqual(row.changedAt.getTime())
  })

  test('with a base has only what differs', async () => {
    const on = await createTestContent()
    const vdi = await on.create()
    await on.write(vdi, 0, 1, MiB)
    const baseUuid = await snapshotVdi(on.context, vdi)
    await on.write(vdi, 2 * MiB, 2)
    const whole = await send(on, asked(vdi, { formatName: 'qcow2' }))
    const options = { delta: 'compact' } as const
    const delta = await send(on, asked(vdi, { formatName: 'qcow2', baseUuid, options }))
    const disk = await formats.qcow2.open(createMemoryImage(delta.bytes))
    expect((await listExtents(disk)).filter(({ kind }) => kind === 'data')).toEqual([
      { offset: 2 * MiB, length: 64 * KiB, kind: 'data' },
    ])
    expect(delta.etag).not.toBe(whole.etag)
  })

  test('shows its task once it is open, and the halves of a comparison and of the sending', async () => {
    const on = await createTestContent()
    const [vdi, baseUuid] = [await on.create({ nameLabel: 'disk' }), await on.create()]
    await on.write(vdi, 0, 1)
    await on.write(baseUuid, 0, 1)
    const begun: string[] = []
    const reports: number[] = []
    const task = {
      begin: (nameLabel: string) => void begun.push(nameLabel),
      report: (fraction: number) => void reports.push(fraction),
      note: () => Promise.resolve(),
    }
    const request = asked(vdi, { formatName: 'qcow2', baseUuid, narrow: 'always' })
    await exportVdi(on.context, request, task, async ({ open, report }) => {
      expect(begun).toEqual([])
      await open()
      report(0)
      report(1)
    })
    expect(begun).toEqual(['Export of disk'])
    expect(reports.slice(-2)).toEqual([0.5, 1])
    expect(Math.max(...reports.slice(0, -2))).toBeLessThanOrEqual(0.5)
  })

  test('keeps its layers until it has been delivered, and no longer', async () => {
    const on = await createTestContent()
    const vdi = await on.create()
    await on.write(vdi, 0, 1)
    await exportVdi(on.context, asked(vdi), noTask, async (ready) => {
      await on.catalog.vdis.destroy(vdi)
      on.storage.upkeep.collect(on.srUuid)
      expect(await on.layers()).toEqual({ here: 1, there: 0 })
      expect((await readAll(plannedImage(ready))).length).toBe(diskSize)
    })
    expect(await on.layers()).toEqual({ here: 0, there: 0 })
  })

  test('whose delivery fails gives its layers back, and passes the reason on', async () => {
    const on = await createTestContent()
    const vdi = await on.create()
    await on.write(vdi, 0, 1)
    const failing = exportVdi(on.context, asked(vdi), noTask, () =>
      Promise.reject(new Error('EPIPE')),
    )
    await expect(failing).rejects.toThrow('EPIPE')
    expect(await on.storage.contents.isRead(on.srUuid)).toBe(false)
    expect(on.context.transfers.running).toBe(0)
  })
})

describe('an export that is encoded', () => {
  const compressed = { formatName: 'qcow2', options: { compression: 'zlib' } } as const
  const encoderOf = ({ body }: ReadyExport) => {
    if (body.kind === 'planned') throw new Error('The image has a length')
    return body.encode
  }

  test('shows the disk, and reports what has been read of it', async () => {
    const on = await createTestContent()
    const vdi = await on.create()
    await on.write(vdi, 0, 1, MiB)
    const reports: number[] = []
    const chunks: Uint8Array[] = []
    await exportVdi(on.context, asked(vdi, compressed), noTask, async (ready) => {
      await ready.open()
      expect(ready.isCompressed).toBe(true)
      expect(ready.etag).toMatch(/^W\/"/)
      const onProgress = (fraction: number): void => void reports.push(fraction)
      for await (const chunk of encoderOf(ready)({ ...ready, onProgress })) chunks.push(chunk)
      await ready.verify()
    })
    const disk = await formats.qcow2.open(createMemoryImage(Buffer.concat(chunks)))
    expectSameBytes(await readAll(disk), await on.read(vdi))
    expect(reports).toEqual(reports.toSorted((a, b) => a - b))
    expect(reports.at(-1)).toBe(1)
    expect(reports).toContain(0.5)
  })

  test.each(['never begun', 'left in the middle'])('%s: gives its layers back', async (when) => {
    const on = await createTestContent()
    const vdi = await on.create()
    await on.write(vdi, 0, 1)
    await exportVdi(on.context, asked(vdi, compressed), noTask, async (ready) => {
      if (when === 'never begun') return
      for await (const chunk of encoderOf(ready)({ ...ready, onProgress: () => {} })) {
        expect(chunk.length).toBeGreaterThan(0)
        break
      }
    })
    expect(await on.storage.contents.isRead(on.srUuid)).toBe(false)
  })
})

test('what cannot be exported is refused before anything is delivered', async () => {
  const on = await createTestContent()
  const vdi = await on.create()
  await on.write(vdi, 0, 1)
  const large = await on.create({ virtualSize: 3 * TiB, format: 'qcow2' })
  const destroyed = await on.create({ type: METADATA_ONLY })
  for (const [request, code] of [
    [asked(randomUUID()), 'HANDLE_INVALID'],
    [asked(vdi, { baseUuid: randomUUID() }), 'HANDLE_INVALID'],
    [asked(vdi, { formatName: 'vmfs' }), 'VALUE_NOT_SUPPORTED'],
    [asked(vdi, { formatName: 'raw', options: { subformat: 'fixed' } }), 'VALUE_NOT_SUPPORTED'],
    [asked(vdi, { formatName: 'vhd', options: { subformat: 'thick' } }), 'VALUE_NOT_SUPPORTED'],
    [asked(vdi, { formatName: 'vhd', options: { compression: 'zlib' } }), 'VALUE_NOT_SUPPORTED'],
    [asked(vdi, { formatName: 'qcow2', options: { compression: 'xz' } }), 'VALUE_NOT_SUPPORTED'],
    [asked(large, { formatName: 'vhd' }), 'VDI_TOO_LARGE'],
    [asked(destroyed), 'VDI_INCOMPATIBLE_TYPE'],
  ] as const) {
    const exporting = exportVdi(on.context, request, noTask, () => {
      throw new Error('delivered')
    })
    await expect(exporting).rejects.toMatchObject({ code })
  }
  expect(await on.storage.contents.isRead(on.srUuid)).toBe(false)
})
