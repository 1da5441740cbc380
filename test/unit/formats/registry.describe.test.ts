// What images say of their parents, read from files by other writers and from broken ones.

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formats } from '../../../src/formats/registry.ts'
import type { FormatName } from '../../../src/format-table.ts'
import { openFileImage } from '../../../src/image/file-image.ts'
import { createMemoryImage } from '../../../src/image/memory-image.ts'
import { hideQcow2, hideVhd, writeVhd } from '../../support/sr-folder.ts'
import { createTestFolder, hasTool, qemuImg } from '../../support/tools.ts'
import { buildVhd, sealHeader } from '../../support/vhd-images.ts'

const describeFile = async (format: FormatName, path: string) => {
  const image = await openFileImage(path)
  try {
    return await formats[format].describe(image)
  } finally {
    await image.close()
  }
}

const describeBytes = async (bytes: Uint8Array) => {
  const image = createMemoryImage()
  await image.write(0, bytes)
  return formats.vhd.describe(image)
}

describe('VHD', () => {
  test('a whole one has an id and no parent; the hidden mark is seen', async () => {
    const folder = await createTestFolder()
    const written = await writeVhd(folder)
    const { imageUuid } = written
    expect(await describeFile('vhd', written.path)).toEqual({ imageUuid, isHidden: false })
    await hideVhd(written)
    expect(await describeFile('vhd', written.path)).toEqual({ imageUuid, isHidden: true })
  })

  test('a differencing one names its parent by three locators and in its header', async () => {
    const folder = await createTestFolder()
    const parent = await writeVhd(folder)
    const leaf = await writeVhd(folder, { parent })
    const { fileName } = parent
    expect((await describeFile('vhd', leaf.path)).parent).toEqual({
      uuid: parent.imageUuid,
      names: [`.\\${fileName}`, `.\\${fileName}`, `file://./${fileName}`, fileName],
    })
  })

  test('an empty locator and an unknown platform are passed over: the header has the name', async () => {
    const { bytes } = buildVhd({
      size: 4 << 20,
      diskType: 4,
      tableOffset: 4096,
      locators: [
        ['W2ku', 0, 0],
        ['Wi2k', 2048, 10],
      ],
    })
    Buffer.from('parent.vhd', 'utf16le')
      .swap16()
      .copy(bytes, 512 + 64)
    sealHeader(bytes, 512)
    expect((await describeBytes(bytes)).parent).toEqual({ names: ['parent.vhd'] })
  })

  test('a locator that leaves the image is refused', async () => {
    const { bytes } = buildVhd({ size: 4 << 20, diskType: 4, locators: [['MacX', 1 << 30, 512]] })
    await expect(describeBytes(bytes)).rejects.toThrow('leaves the image')
  })
})

describe.skipIf(!hasTool('qemu-img'))('QCOW2', () => {
  const create = async (...args: string[]) => {
    const path = join(await createTestFolder(), 'disk.qcow2')
    await qemuImg('create', '-q', '-f', 'qcow2', '-u', ...args, path, '1M')
    return describeFile('qcow2', path)
  }

  test.each([
    ['raw', 'raw'],
    ['vpc', 'vhd'],
    ['qcow2', 'qcow2'],
    ['vmdk', 'vmdk'],
    ['parallels', 'unknown'],
  ])('a backing file of the format %s', async (word, format) => {
    const parent = { names: ['../some where/base'], format }
    expect(await create('-F', word, '-b', '../some where/base')).toEqual({
      isHidden: false,
      parent,
    })
  })

  test.each(['0.10', '1.1'])('the hidden mark of XCP-ng, in compat=%s', async (compat) => {
    for (const backing of [[], ['-F', 'qcow2', '-b', 'base.qcow2']]) {
      const path = join(await createTestFolder(), 'disk.qcow2')
      await qemuImg(
        'create',
        '-q',
        '-f',
        'qcow2',
        '-u',
        '-o',
        `compat=${compat}`,
        ...backing,
        path,
        '1M',
      )
      const whole = await describeFile('qcow2', path)
      expect(whole.isHidden).toBe(false)
      await hideQcow2(path)
      expect(await describeFile('qcow2', path)).toEqual({ ...whole, isHidden: true })
      // QEMU keeps what it does not know when it writes the header anew.
      await qemuImg('rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', '/mnt/other.qcow2', path)
      expect(await describeFile('qcow2', path)).toEqual({
        isHidden: true,
        parent: { names: ['/mnt/other.qcow2'], format: 'qcow2' },
      })
    }
    const path = join(await createTestFolder(), 'disk.qcow2')
    await qemuImg('create', '-q', '-f', 'qcow2', path, '1M')
    await hideQcow2(path, 0)
    expect(await describeFile('qcow2', path)).toEqual({ isHidden: false })
  })

  test('version 2, and none', async () => {
    const old = await create('-o', 'compat=0.10', '-F', 'raw', '-b', 'base.raw')
    expect(old).toEqual({ isHidden: false, parent: { names: ['base.raw'], format: 'raw' } })
    expect(await create()).toEqual({ isHidden: false })
  })
})
