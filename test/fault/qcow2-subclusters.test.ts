// Extended L2 entries: clusters that are data only in part, before their tables too; and entries
// that contradict themselves.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { defaultLimits } from '../../src/formats/qcow2/stream/decode-limits.ts'
import { viewOf } from '../../src/image/binary.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { listExtents, readAll } from '../support/disks.ts'
import { decodeWatched } from '../support/qcow2-decode.ts'
import { firstTable, tablesLast } from '../support/qcow2-tables-last.ts'
import { createTestFolder, hasTool, qemuImg, run } from '../support/tools.ts'

const commands = [
  'write -P 1 0 64k',
  'write -P 2 70k 2k',
  'write -P 3 80k 6k',
  'write -z 130k 4k',
  'write -P 4 140k 2k',
  'write -P 5 300k 200k',
  'discard 310k 2k',
  'write -z -u 1M 10k',
  'write -P 6 1022k 3k',
]

const make = async (size = '2M') => {
  const folder = await createTestFolder()
  const path = join(folder, 'a.qcow2')
  await qemuImg('create', '-f', 'qcow2', '-o', 'extended_l2=on', path, size)
  for (const command of commands) await run('qemu-io', ['-f', 'qcow2', '-c', command, path])
  await qemuImg('convert', '-f', 'qcow2', '-O', 'raw', path, join(folder, 'a.raw'))
  const content = await readFile(join(folder, 'a.raw'))
  return { bytes: new Uint8Array(await readFile(path)), content }
}

describe.skipIf(!hasTool('qemu-img'))('clusters that are data in part', () => {
  test.each<[string, object]>([
    ['in memory', {}],
    ['in a spool', { parkedBytes: 4096, gatheredBytes: 4096 }],
    ['with no run that is remembered', { parkedRuns: 1 }],
    ['with L2 tables put off', { awaitedRuns: 0 }],
  ])('wait for their tables %s', async (_name, limits) => {
    const { bytes, content } = await make()
    for (const image of [bytes, tablesLast(bytes)]) {
      for (const length of [image.length, undefined]) {
        const decoded = await decodeWatched(image, length, { ...defaultLimits, ...limits })
        expect(Buffer.compare(await readAll(decoded.disk), content)).toBe(0)
      }
      const atRest = await qcow2.open(createMemoryImage(image))
      expect(Buffer.compare(await readAll(atRest), content)).toBe(0)
    }
  })

  test('are told as they are, down to a subcluster of 2 KiB', async () => {
    const { bytes } = await make()
    const extents = await listExtents(await qcow2.open(createMemoryImage(bytes)))
    const inKiB = extents.map(({ kind, offset, length }) => [kind, offset / 1024, length / 1024])
    expect(inKiB.slice(0, 8)).toEqual([
      ['data', 0, 64],
      ['hole', 64, 6],
      ['data', 70, 2],
      ['hole', 72, 8],
      ['data', 80, 6],
      ['hole', 86, 44],
      ['zero', 130, 4],
      ['hole', 134, 6],
    ])
  })

  test.each<[string, number, (view: DataView, at: number) => void]>([
    ['both data and zeros', 0, (view, at) => view.setUint32(at + 8, 1)],
    ['data, and nothing is allocated', 0, (view, at) => view.setBigUint64(at, 0n)],
    [
      'zeros by the flag of the cluster',
      0,
      (view, at) => view.setUint32(at + 4, view.getUint32(at + 4) | 1),
    ],
  ])('that say to be %s are refused', async (_name, entry, change) => {
    const { bytes } = await make()
    change(viewOf(bytes), firstTable(bytes) + entry * 16)
    const expected = {
      code: 'IMPORT_ERROR_GENERIC',
      message: expect.stringMatching(/guest offset 0x0/),
    }
    await expect(decodeWatched(bytes, bytes.length)).rejects.toMatchObject(expected)
    const read = async () => readAll(await qcow2.open(createMemoryImage(bytes)))
    await expect(read()).rejects.toMatchObject(expected)
  })
})
