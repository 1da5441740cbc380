// Both ways against qemu-img, on content. VirtualBox itself is no Debian package.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { vdi } from '../../src/formats/vdi/vdi.ts'
import { openFileImage } from '../../src/image/file-image.ts'
import { GiB, MiB } from '../../src/units.ts'
import { lawDisks, testIdentity } from '../laws/format-laws.ts'
import { createPatternDisk, listExtents, readAll } from '../support/disks.ts'
import { expectContent } from '../support/image-files.ts'
import { createTestFolder, hasTool, qemuImg, run } from '../support/tools.ts'

/** Dynamic, and fixed. */
const layouts = ['static=off', 'static=on']

describe.skipIf(!hasTool('qemu-img'))('what qemu-img writes', () => {
  for (const [name, parts] of Object.entries(lawDisks)) {
    test.each(layouts)(`${name}, %s: opens and decodes`, async (layout) => {
      const folder = await createTestFolder()
      const [raw, image] = [join(folder, 'source.raw'), join(folder, 'image.vdi')]
      await writeFile(raw, await readAll(createPatternDisk(parts)))
      await qemuImg('convert', '-f', 'raw', '-O', 'vdi', '-o', layout, raw, image)
      await expectContent(vdi, image, await readFile(raw))
    })
  }

  test.each(layouts)('%s: what was written at odd places, in any order', async (layout) => {
    const image = join(await createTestFolder(), 'image.vdi')
    const size = 9 * MiB + 512
    await qemuImg('create', '-q', '-f', 'vdi', '-o', layout, image, String(size))
    const expected = new Uint8Array(size)
    for (const [offset, length, byte] of [
      [8 * MiB - 700, 1000, 1],
      [5, 3, 2],
      [size - 1, 1, 3],
      [3 * MiB - 1, 2 * MiB + 2, 4],
    ] as const) {
      await run('qemu-io', ['-f', 'vdi', '-c', `write -P ${byte} ${offset} ${length}`, image])
      expected.fill(byte, offset, offset + length)
    }
    await expectContent(vdi, image, expected)
  })

  test('an empty disk of 13 TiB opens with that size', async () => {
    const path = join(await createTestFolder(), 'image.vdi')
    await qemuImg('create', '-q', '-f', 'vdi', path, '13T')
    const disk = await vdi.open(await openFileImage(path))
    const size = 13 * 1024 * GiB
    expect(await listExtents(disk)).toEqual([{ offset: 0, length: size, kind: 'hole' }])
    await disk.close()
  })
})

describe.skipIf(!hasTool('qemu-img'))('what is written, qemu-img reads', () => {
  test.each(Object.keys(lawDisks))('%s', async (name) => {
    const folder = await createTestFolder()
    const [raw, image] = [join(folder, 'source.raw'), join(folder, 'image.vdi')]
    const disk = createPatternDisk(lawDisks[name]!)
    await writeFile(raw, await readAll(disk))
    await writeFile(image, await readAll(await vdi.plan(disk, testIdentity)))
    const { stdout } = await qemuImg('info', '--output=json', image)
    expect(JSON.parse(stdout)).toMatchObject({ format: 'vdi', 'virtual-size': disk.size })
    await qemuImg('check', '-f', 'vdi', image)
    await qemuImg('compare', '-f', 'vdi', '-F', 'raw', image, raw)
    // Written to, the image grows as one of QEMU's own.
    const last = disk.size - 512
    await run('qemu-io', ['-f', 'vdi', '-c', `write -P 7 ${last} 512`, image])
    await expectContent(vdi, image, (await readFile(raw)).fill(7, last))
  })
})
