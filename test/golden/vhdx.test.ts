// Both ways against qemu-img, on content, and logs that QEMU left behind when it was killed.

import { copyFile, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { vhdx } from '../../src/formats/vhdx/vhdx.ts'
import { openFileImage } from '../../src/image/file-image.ts'
import { KiB, MiB, TiB } from '../../src/units.ts'
import { lawDisks, testIdentity } from '../laws/format-laws.ts'
import { createPatternDisk, expectSameBytes, listExtents, readAll } from '../support/disks.ts'
import { expectContent } from '../support/image-files.ts'
import { createTestFolder, hasTool, qemuImg, run } from '../support/tools.ts'
import { seal } from '../support/vhdx-images.ts'

const variants = [
  [],
  ['subformat=fixed'],
  ['block_size=1M'],
  ['block_size=2M', 'subformat=fixed'],
  ['block_size=256M', 'log_size=3M'],
  ['block_state_zero=off'],
]

describe.skipIf(!hasTool('qemu-img'))('what qemu-img writes', () => {
  describe.each(variants.map((options) => [options.join(' ') || 'plain', options] as const))(
    '%s',
    (_name, options) => {
      const flags = options.flatMap((option) => ['-o', option])

      test.each(Object.keys(lawDisks))('%s: opens and decodes', async (name) => {
        const folder = await createTestFolder()
        const [raw, image] = [join(folder, 'source.raw'), join(folder, 'image.vhdx')]
        await writeFile(raw, await readAll(createPatternDisk(lawDisks[name]!)))
        await qemuImg('convert', '-f', 'raw', '-O', 'vhdx', ...flags, raw, image)
        await expectContent(vhdx, image, await readFile(raw))
      })

      test('what was written at odd places, in any order', async () => {
        const image = join(await createTestFolder(), 'image.vhdx')
        const size = 9 * MiB + 512
        await qemuImg('create', '-q', '-f', 'vhdx', ...flags, image, String(size))
        const expected = new Uint8Array(size)
        for (const [offset, length, byte] of [
          [8 * MiB - 700, 1000, 1],
          [5, 3, 2],
          [size - 1, 1, 3],
          [3 * MiB - 1, 2 * MiB + 2, 4],
        ] as const) {
          await run('qemu-io', ['-f', 'vhdx', '-c', `write -P ${byte} ${offset} ${length}`, image])
          expected.fill(byte, offset, offset + length)
        }
        await expectContent(vhdx, image, expected)
      })
    },
  )

  test('an empty disk of 15 TiB opens with that size', async () => {
    const path = join(await createTestFolder(), 'image.vhdx')
    await qemuImg('create', '-q', '-f', 'vhdx', path, '15T')
    const disk = await vhdx.open(await openFileImage(path))
    expect(await listExtents(disk)).toEqual([{ offset: 0, length: 15 * TiB, kind: 'zero' }])
    await disk.close()
  })

  test('a log that was not replayed: what it promises is there', async () => {
    const folder = await createTestFolder()
    const [image, whole] = [join(folder, 'image.vhdx'), join(folder, 'whole.vhdx')]
    await qemuImg('create', '-q', '-f', 'vhdx', '-o', 'block_size=1M', image, '20M')
    for (const command of ['write -P 1 0 3M', 'write -P 2 7M 1M']) {
      await run('qemu-io', ['-f', 'vhdx', '-c', command, image])
    }
    await undoUpdate(image)
    await copyFile(image, whole)
    await qemuImg('check', '-q', '-r', 'all', '-f', 'vhdx', whole)
    await qemuImg('convert', '-f', 'vhdx', '-O', 'raw', whole, `${whole}.raw`)
    const expected = await readFile(`${whole}.raw`)
    expect(expected.subarray(7 * MiB, 8 * MiB).every((byte) => byte === 2)).toBe(true)
    const before = await readFile(image)
    await expectContent(vhdx, image, expected, 1)
    expect((await readFile(image)).equals(before)).toBe(true)
  })
})

/**
 * The image as if QEMU had died after it wrote the log, and before the block table: the sector of
 * the table is empty, and the headers name the log, whose entries are still there.
 */
const undoUpdate = async (path: string): Promise<void> => {
  const bytes = await readFile(path)
  const tableId = bytes.indexOf(Buffer.from('6677c22d23f600429d64115e9bfd4a08', 'hex'))
  const table = Number(bytes.readBigUInt64LE(tableId + 16))
  bytes.fill(0, table, table + 4 * KiB)
  const entry = bytes.indexOf('loge', MiB)
  for (const header of [64 * KiB, 128 * KiB]) {
    bytes.copy(bytes, header + 48, entry + 32, entry + 48)
    seal(bytes, header, 4 * KiB)
  }
  await writeFile(path, bytes)
}

describe.skipIf(!hasTool('qemu-img'))('what is written, qemu-img reads', () => {
  test.each(Object.keys(lawDisks))('%s', async (name) => {
    const folder = await createTestFolder()
    const [raw, image] = [join(folder, 'source.raw'), join(folder, 'image.vhdx')]
    const disk = createPatternDisk(lawDisks[name]!)
    await writeFile(raw, await readAll(disk))
    await writeFile(image, await readAll(await vhdx.plan(disk, testIdentity)))
    const { stdout } = await qemuImg('info', '--output=json', image)
    expect(JSON.parse(stdout)).toMatchObject({ format: 'vhdx', 'virtual-size': disk.size })
    await qemuImg('check', '-f', 'vhdx', image)
    await qemuImg('compare', '-f', 'vhdx', '-F', 'raw', image, raw)
    // Written to, the image grows as one of QEMU's own.
    const last = disk.size - 512
    await run('qemu-io', ['-f', 'vhdx', '-c', `write -P 7 ${last} 512`, image])
    await expectContent(vhdx, image, (await readFile(raw)).fill(7, last))
  })

  test('a disk of more blocks than share a bitmap', async () => {
    const folder = await createTestFolder()
    const [raw, image] = [join(folder, 'source.raw'), join(folder, 'image.vhdx')]
    const parts = [
      ['hole', 127 * 32 * MiB],
      ['data', 4 * KiB],
      ['hole', 64 * MiB],
      ['data', 512],
      ['hole', 129 * 32 * MiB],
      ['data', MiB],
    ] as const
    const planned = await vhdx.plan(createPatternDisk(parts), testIdentity)
    const file = await open(image, 'w')
    const piece = new Uint8Array(MiB)
    for (let offset = 0; offset < planned.size; offset += piece.length) {
      const part = piece.subarray(0, Math.min(piece.length, planned.size - offset))
      await planned.read(offset, part)
      await file.write(part)
    }
    await file.close()
    await qemuImg('check', '-f', 'vhdx', image)
    await qemuImg('convert', '-f', 'vhdx', '-O', 'raw', image, raw)
    const opened = await vhdx.open(await openFileImage(image))
    const converted = await openFileImage(raw)
    const source = createPatternDisk(parts)
    for (let at = 0, index = 0; index < parts.length; index += 1) {
      const [kind, length] = parts[index]!
      if (kind === 'data') {
        const [expected, read, byQemu] = [0, 0, 0].map(() => new Uint8Array(length)) as [
          Uint8Array,
          Uint8Array,
          Uint8Array,
        ]
        await source.read(at, expected)
        await opened.read(at, read)
        await converted.read(at, byQemu)
        expectSameBytes(read, expected, `opened, at ${at}`)
        expectSameBytes(byQemu, expected, `as qemu-img reads it, at ${at}`)
      }
      at += length
    }
    await opened.close()
    await converted.close()
  })
})
