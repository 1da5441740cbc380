// VHDs whose resizing XenServer's tools did under a journal and did not end: marked in a footer,
// and never read, because the journal that undoes it is a file of its own.

import { describe, expect, test } from 'vitest'
import { vhd } from '../../src/formats/vhd/vhd.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { MiB } from '../../src/units.ts'
import { decodeBytes, rebuild } from '../laws/format-laws.ts'
import { readAll } from '../support/disks.ts'
import { buildFixedVhd, buildVhd, sealFooter } from '../support/vhd-images.ts'

const dynamic = Buffer.from(buildVhd({ size: 5 * MiB, blocks: [{ block: 1 }] }).bytes)
const fixed = buildFixedVhd({ size: 2 * MiB, blocks: [] })

const poisoned = (image: Buffer, footers: readonly number[]): Buffer => {
  const bytes = Buffer.from(image)
  for (const at of footers) {
    bytes.write('v_poison', at, 'latin1')
    sealFooter(bytes, at)
  }
  return bytes
}

const attempts = [
  ['at rest', (bytes: Buffer) => vhd.open(createMemoryImage(bytes))],
  ['described', (bytes: Buffer) => vhd.describe(createMemoryImage(bytes))],
  ['from a stream', async (bytes: Buffer) => rebuild(await decodeBytes(vhd, bytes))],
] as const

describe.each(attempts)('%s', (_name, attempt) => {
  test.each([
    ['both footers', poisoned(dynamic, [0, dynamic.length - 512])],
    ['the closing footer', poisoned(dynamic, [dynamic.length - 512])],
    ['the copy of the footer', poisoned(dynamic, [0])],
    ['the footer of a fixed disk', poisoned(fixed, [fixed.length - 512])],
  ])('%s says so: refused, with what to do', async (_what, bytes) => {
    await expect(attempt(bytes)).rejects.toMatchObject({
      code: 'IMPORT_ERROR_GENERIC',
      params: [
        expect.stringMatching(/resizing was interrupted: .*\(vhd-util revert -n disk\.vhd -j /),
      ],
    })
  })
})

test('a guest that wrote the mark at its beginning is no such image', async () => {
  const bytes = Buffer.from(fixed)
  bytes.write('v_poison', 0, 'latin1')
  for (const disk of [
    await vhd.open(createMemoryImage(bytes)),
    await rebuild(await decodeBytes(vhd, bytes)),
  ]) {
    expect((await readAll(disk)).subarray(0, 8)).toEqual(new Uint8Array(Buffer.from('v_poison')))
  }
})
