// What waits of an upload takes no more than the storage can spare, and goes with the import.

import { expect, test } from 'vitest'
import type { Spool } from '../../../src/image/spool.ts'
import type { TransferContext } from '../../../src/transfer/context.ts'
import { createUploadSpools } from '../../../src/transfer/upload-spools.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { createCountingSpool } from '../../support/qcow2-decode.ts'

/** Spools on a store with `free` bytes. */
const spoolsOn = (free: number) => {
  const counting = createCountingSpool()
  const store = {
    openSpool: (): Promise<Spool> => counting.open(),
    space: async () => ({ size: 100 * MiB, used: 100 * MiB - free }),
  }
  const storage = { stores: { get: () => store } } as unknown as TransferContext['storage']
  return { ...counting, spools: createUploadSpools({ storage }) }
}

test('half of what is free may wait: the layer takes the other half', async () => {
  const { spools, counts } = spoolsOn(2 * MiB)
  const spool = await spools.open('sr')
  await spool.append(new Uint8Array(MiB))
  // Zeros take no room.
  spool.appendZeros(50 * MiB)
  await expect(spool.append(new Uint8Array(KiB))).rejects.toMatchObject({
    code: 'SR_FULL',
    message: expect.stringContaining('1048576 bytes of the upload wait for its end') as string,
  })
  expect(counts.appended).toBe(MiB)
})

test('a spool that nobody read back goes with the import', async () => {
  const { spools, counts } = spoolsOn(2 * MiB)
  await spools.open('sr')
  expect(counts.closed).toBe(0)
  await spools.close()
  expect(counts.closed).toBe(1)
})
