// What waits of an upload takes no more than the storage can spare, and goes with the import.

import { expect, test } from 'vitest'
import type { Spool } from '../../../src/image/spool.ts'
import type { TransferContext } from '../../../src/transfer/context.ts'
import { createUploadSpools } from '../../../src/transfer/upload-spools.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { createCountingSpool } from '../../support/qcow2-decode.ts'

/** Spools on a store with `free` bytes. */
const spoolsOn = (free: number, spoolLimit?: number) => {
  const counting = createCountingSpool()
  const store = {
    free,
    openSpool: (): Promise<Spool> => counting.open(),
    space: async () => ({ size: 100 * MiB, used: 100 * MiB - store.free }),
  }
  const storage = { stores: { get: () => store } } as unknown as TransferContext['storage']
  const create = () => createUploadSpools({ storage, spoolLimit })
  return { ...counting, store, spools: create(), other: create() }
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

test('two imports together have the half that one has, and what is closed is free again', async () => {
  const { store, spools, other } = spoolsOn(2 * MiB)
  const [first, second] = [await spools.open('sr'), await other.open('sr')]
  await first.append(new Uint8Array(600 * KiB))
  await second.append(new Uint8Array(400 * KiB))
  await expect(second.append(new Uint8Array(100 * KiB))).rejects.toMatchObject({
    message: expect.stringMatching(
      /409600 bytes of the upload wait for its end, and 614400 bytes \(600 KiB\) of others/,
    ) as string,
  })
  // What waits counts as used, and is no less for the next one.
  store.free = MiB + 24 * KiB
  const third = await other.open('sr')
  await third.append(new Uint8Array(24 * KiB))
  await expect(third.append(new Uint8Array(KiB))).rejects.toMatchObject({ code: 'SR_FULL' })
  await first.close()
  await first.close()
  await third.append(new Uint8Array(600 * KiB))
  await expect(third.append(new Uint8Array(KiB))).rejects.toMatchObject({ code: 'SR_FULL' })
})

test('an upload has no more than the option says', async () => {
  const { spools } = spoolsOn(100 * MiB, MiB)
  const spool = await spools.open('sr')
  await spool.append(new Uint8Array(MiB))
  await expect(spool.append(new Uint8Array(1))).rejects.toMatchObject({
    code: 'SR_FULL',
    message: expect.stringContaining('--spool-limit is 1048576 bytes (1 MiB)') as string,
  })
})

test('a spool that nobody read back goes with the import', async () => {
  const { spools, counts } = spoolsOn(2 * MiB)
  await spools.open('sr')
  expect(counts.closed).toBe(0)
  await spools.close()
  expect(counts.closed).toBe(1)
})
