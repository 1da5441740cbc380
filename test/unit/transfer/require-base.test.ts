// A delta is content only on top of its base: where nothing lies below, an import of one is
// refused, and the VDI stays as it was.

import { describe, expect, test } from 'vitest'
import type { FormatName } from '../../../src/format-table.ts'
import type { PlanOptions } from '../../../src/formats/format.ts'
import type { ImportRequest } from '../../../src/operations/vdi/import-request.ts'
import { importVdi } from '../../../src/operations/import-vdi.ts'
import { noTask } from '../../../src/transfer/with-task.ts'
import { MiB } from '../../../src/units.ts'
import { cutInChunks, expectSameBytes } from '../../support/disks.ts'
import { createTestStorage } from '../../support/storage.ts'

const size = 6 * MiB

const start = async () => {
  const on = await createTestStorage()
  return {
    ...on,
    /** A VDI with 1 MiB at `offset`, or one that was never written. */
    make: async (offset?: number): Promise<string> => {
      const uuid = await on.createVdi(size)
      if (offset !== undefined) await on.write(uuid, [{ offset, length: MiB, seed: 3 }])
      return uuid
    },
    delta: async (vdiUuid: string, baseUuid: string, [formatName, options]: Form) =>
      (await on.exportImage({ vdiUuid, baseUuid, formatName, options })).bytes,
    bring: (
      target: ImportRequest['target'],
      formatName: FormatName,
      bytes: Uint8Array,
      more: Partial<ImportRequest> = {},
    ) => {
      const request = { target, formatName, replace: false, chunked: false, ...more }
      const accept = () => cutInChunks(bytes, [65_536])
      return importVdi(on.context, request, noTask, { length: bytes.length, accept })
    },
  }
}

type Form = readonly [FormatName, PlanOptions]
/** The forms that carry a mark of being a delta. */
const marked = [
  ['vhd', {}],
  ['qcow2', { delta: 'compact' }],
] as const satisfies readonly Form[]
const unmarked: Form = ['qcow2', {}]

describe.each(marked)('a delta in %s %j', (...form) => {
  const [format] = form

  test('with replace=true is refused: alone on zeros it would be half a disk', async () => {
    const { make, read, delta, bring } = await start()
    const [base, vdi, target] = [await make(0), await make(3 * MiB), await make(MiB)]
    const bytes = await delta(vdi, base, form)
    const before = await read(target)
    await expect(
      bring({ vdiUuid: target }, format, bytes, { replace: true }),
    ).rejects.toMatchObject({
      code: 'IMPORT_ERROR_GENERIC',
      message: expect.stringMatching(/it is a delta .*: leave out replace=true, and/) as unknown,
    })
    expectSameBytes(await read(target), before)
  })

  test('into a VDI in which nothing was ever written is refused', async () => {
    const { make, vdi: rowOf, delta, bring } = await start()
    const bytes = await delta(await make(3 * MiB), await make(0), form)
    const target = await make()
    await expect(bring({ vdiUuid: target }, format, bytes)).rejects.toMatchObject({
      code: 'IMPORT_ERROR_GENERIC',
      message: expect.stringMatching(
        /holds nothing: it is a delta .*: import its base first/,
      ) as unknown,
    })
    expect((await rowOf(target)).layerUuid).toBeNull()
  })

  test('goes on top of its base, and of a disk that was filled with zeros', async () => {
    const { make, read, delta, bring, exportImage } = await start()
    const [base, vdi, target] = [await make(0), await make(3 * MiB), await make()]
    const whole = await exportImage({ vdiUuid: base, formatName: 'vhd', options: {} })
    await bring({ vdiUuid: target }, 'vhd', whole.bytes, { replace: true })
    await bring({ vdiUuid: target }, format, await delta(vdi, base, form))
    expectSameBytes(await read(target), await read(vdi))
  })

  test('that was taken against a VDI here in which nothing was written may go onto nothing', async () => {
    const { make, read, delta, bring } = await start()
    const [base, vdi, target] = [await make(), await make(3 * MiB), await make()]
    await bring({ vdiUuid: target }, format, await delta(vdi, base, form))
    expectSameBytes(await read(target), await read(vdi))
  })

  test('against an empty disk that is gone: an import of that disk, though empty, is the way', async () => {
    const { make, read, delta, bring, exportImage, catalog } = await start()
    const [base, vdi, target] = [await make(), await make(3 * MiB), await make()]
    const whole = await exportImage({ vdiUuid: base, formatName: 'vhd', options: {} })
    const bytes = await delta(vdi, base, form)
    await catalog.vdis.destroy(base)
    await expect(bring({ vdiUuid: target }, format, bytes)).rejects.toThrow('import its base first')
    await bring({ vdiUuid: target }, 'vhd', whole.bytes)
    await bring({ vdiUuid: target }, format, bytes)
    expectSameBytes(await read(target), await read(vdi))
  })
})

describe('what carries no mark of a delta', () => {
  test.each([{ replace: true }, { replace: false }])(
    'QCOW2 is taken as it is: %j',
    async (more) => {
      const { make, read, delta, bring } = await start()
      const [base, vdi, target] = [await make(), await make(3 * MiB), await make()]
      await bring({ vdiUuid: target }, 'qcow2', await delta(vdi, base, unmarked), more)
      expectSameBytes(await read(target), await read(vdi))
    },
  )

  test('raw content in chunks replaces a VDI: what they leave out holds nothing', async () => {
    const { make, read, bring } = await start()
    const target = await make(0)
    const chunk = Buffer.alloc(12 + 512 + 12)
    chunk.writeBigUInt64LE(BigInt(MiB))
    chunk.writeUInt32LE(512, 8)
    chunk.fill(7, 12, 12 + 512)
    await bring({ vdiUuid: target }, 'raw', chunk, { replace: true, chunked: true })
    const expected = new Uint8Array(size)
    expected.fill(7, MiB, MiB + 512)
    expectSameBytes(await read(target), expected)
  })
})
