// Both ways against qemu-img, on content, and the kinds that are refused.

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { planStoredVmdk } from '../../src/formats/vmdk/plan-stored.ts'
import { vmdk } from '../../src/formats/vmdk/vmdk.ts'
import { openFileImage } from '../../src/image/file-image.ts'
import { GiB, MiB } from '../../src/units.ts'
import { lawDisks, testIdentity } from '../laws/format-laws.ts'
import { createPatternDisk, listExtents, readAll } from '../support/disks.ts'
import { decodeImageFile, expectContent } from '../support/image-files.ts'
import { encodeAll } from '../support/encoded.ts'
import { hasLibyal, readWithLibyal, readWithSevenZip } from '../support/independent-readers.ts'
import { createTestFolder, hasTool, qemuImg, run } from '../support/tools.ts'

/** For what is refused: an image that does not open stays its opener's. */
const openAndClose = async (path: string): Promise<void> => {
  const image = await openFileImage(path)
  try {
    await vmdk.open(image)
  } finally {
    await image.close()
  }
}

const variants = [
  [],
  ['adapter_type=ide'],
  ['zeroed_grain=on'],
  ['compat6=on'],
  ['hwversion=13'],
  ['subformat=streamOptimized'],
]

describe.skipIf(!hasTool('qemu-img'))('what qemu-img writes', () => {
  describe.each(variants.map((options) => [options.join(' ') || 'plain', options] as const))(
    '%s',
    (_name, options) => {
      const flags = options.flatMap((option) => ['-o', option])

      test.each(Object.keys(lawDisks))('%s: opens and decodes', async (name) => {
        const folder = await createTestFolder()
        const [raw, image] = [join(folder, 'source.raw'), join(folder, 'image.vmdk')]
        await writeFile(raw, await readAll(createPatternDisk(lawDisks[name]!)))
        await qemuImg('convert', '-f', 'raw', '-O', 'vmdk', ...flags, raw, image)
        await expectContent(vmdk, image, await readFile(raw))
      })
    },
  )

  test.each(['zeroed_grain=off', 'zeroed_grain=on'])(
    '%s: what was written at odd places, in any order',
    async (option) => {
      const image = join(await createTestFolder(), 'image.vmdk')
      const size = 9 * MiB + 512
      await qemuImg('create', '-q', '-f', 'vmdk', '-o', option, image, String(size))
      for (const command of [
        `write -P 1 ${8 * MiB - 700} 1000`,
        'write -P 2 5 3',
        `write -P 3 ${size - 1} 1`,
        `write -P 4 ${3 * MiB - 1} ${2 * MiB + 2}`,
        'write -z 3M 256k',
        'write -z 6M 128k',
        'discard 4M 64k',
      ]) {
        await run('qemu-io', ['-f', 'vmdk', '-c', command, image])
      }
      await qemuImg('convert', '-f', 'vmdk', '-O', 'raw', image, `${image}.raw`)
      await expectContent(vmdk, image, await readFile(`${image}.raw`))
    },
  )

  test('an empty disk of 2 TiB opens with that size', async () => {
    const path = join(await createTestFolder(), 'image.vmdk')
    await qemuImg('create', '-q', '-f', 'vmdk', path, '2047G')
    const disk = await vmdk.open(await openFileImage(path))
    expect(await listExtents(disk)).toEqual([{ offset: 0, length: 2047 * GiB, kind: 'hole' }])
    await disk.close()
  })

  test.each(['monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat'])(
    '%s is refused by its name, and its extents too',
    async (subformat) => {
      const folder = await createTestFolder()
      const path = join(folder, 'image.vmdk')
      await qemuImg('create', '-q', '-f', 'vmdk', '-o', `subformat=${subformat}`, path, '3G')
      const messages: Record<string, string> = {}
      for (const name of await readdir(folder)) {
        const attempts = [
          decodeImageFile(vmdk, join(folder, name), true),
          openAndClose(join(folder, name)),
        ]
        for (const outcome of await Promise.allSettled(attempts)) {
          const error: unknown = outcome.status === 'rejected' ? outcome.reason : 'it was taken'
          expect(error).toMatchObject({ code: 'IMPORT_ERROR_GENERIC' })
          messages[name] = String(error)
        }
      }
      expect(messages['image.vmdk']).toContain('it is a descriptor, a text that names the files')
      const sparse = messages['image-s001.vmdk']
      const expected =
        subformat === 'twoGbMaxExtentSparse'
          ? /it has no descriptor, so it is one of several files of a disk: convert/
          : /^undefined$/
      expect(String(sparse)).toMatch(expected)
    },
  )

  test('a disk on another one is refused', async () => {
    const folder = await createTestFolder()
    const [base, top] = [join(folder, 'base.vmdk'), join(folder, 'top.vmdk')]
    await qemuImg('create', '-q', '-f', 'vmdk', base, '10M')
    await qemuImg('create', '-q', '-f', 'vmdk', '-b', base, '-F', 'vmdk', top)
    await expect(decodeImageFile(vmdk, top, true)).rejects.toThrow(
      /it lies on another disk \(parentCID="/,
    )
  })
})

const kinds = ['monolithicSparse', 'streamOptimized', 'stored'] as const

const writeImage = async (subformat: (typeof kinds)[number], name: string) => {
  const folder = await createTestFolder()
  // libvmdk opens the extent by the name that the descriptor has for it.
  const image = join(folder, `${testIdentity.uuid}.vmdk`)
  const raw = join(folder, 'source.raw')
  const disk = createPatternDisk(lawDisks[name]!)
  await writeFile(raw, await readAll(disk))
  const bytes = await {
    streamOptimized: () => encodeAll(vmdk, disk, subformat),
    stored: async () => readAll(await planStoredVmdk(disk, testIdentity)),
    monolithicSparse: async () => readAll(await vmdk.plan(disk, testIdentity)),
  }[subformat]()
  await writeFile(image, bytes)
  return { raw, image, size: disk.size }
}

describe.each(kinds)('%s, as it is written', (subformat) => {
  const names = Object.keys(lawDisks)

  test.skipIf(!hasTool('qemu-img')).each(names)('reads the same in qemu-img, %s', async (name) => {
    const { raw, image, size } = await writeImage(subformat, name)
    const { stdout } = await qemuImg('info', '--output=json', image)
    expect(JSON.parse(stdout)).toMatchObject({
      format: 'vmdk',
      'virtual-size': size,
      'format-specific': {
        data: { 'create-type': subformat === 'stored' ? 'streamOptimized' : subformat },
      },
    })
    await qemuImg('check', '-f', 'vmdk', image)
    await qemuImg('compare', '-f', 'vmdk', '-F', 'raw', image, raw)
    if (subformat !== 'monolithicSparse') return
    // Written to, the image grows as one of QEMU's own.
    await run('qemu-io', ['-f', 'vmdk', '-c', `write -P 7 ${size - 512} 512`, image])
    await expectContent(vmdk, image, (await readFile(raw)).fill(7, size - 512))
  })

  test.skipIf(!hasLibyal()).each(names)('reads the same in libvmdk, %s', async (name) => {
    const { raw, image } = await writeImage(subformat, name)
    expect((await readWithLibyal('vmdk', image)).equals(await readFile(raw))).toBe(true)
  })

  test.skipIf(!hasTool('7zz')).each(names)('reads the same in 7-Zip, %s', async (name) => {
    const { raw, image } = await writeImage(subformat, name)
    expect((await readWithSevenZip('VMDK', image)).equals(await readFile(raw))).toBe(true)
  })
})
