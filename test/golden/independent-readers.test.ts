// Our images as programs read them that share no code with QEMU, or with us.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { FormatName } from '../../src/format-table.ts'
import { formats } from '../../src/formats/registry.ts'
import { KiB } from '../../src/units.ts'
import { lawDisks, testIdentity } from '../laws/format-laws.ts'
import { createPatternDisk, readAll } from '../support/disks.ts'
import { hasLibyal, readWithLibyal, readWithSevenZip } from '../support/independent-readers.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'

const libyalFormats = ['vhd', 'qcow2', 'vhdx'] as const

const sevenZipNames = { vhd: 'VHD', qcow2: 'QCOW', vdi: 'VDI', vhdx: 'VHDX' } as const

const exportDisk = async (format: FormatName, name: string) => {
  const disk = createPatternDisk(lawDisks[name]!)
  const content = await readAll(disk)
  const path = join(await createTestFolder(), `disk.${format}`)
  await writeFile(path, await readAll(await formats[format].plan(disk, testIdentity)))
  return { content, path }
}

describe.each(libyalFormats)('a disk that is exported as %s', (format) => {
  test.skipIf(!hasLibyal()).each(Object.keys(lawDisks))(
    'reads the same in libyal, %s',
    async (name) => {
      const { content, path } = await exportDisk(format, name)
      expect((await readWithLibyal(format, path)).equals(content)).toBe(true)
    },
  )
})

describe.each(['vhd', 'qcow2', 'vdi', 'vhdx'] as const)(
  'a disk that is exported as %s',
  (format) => {
    // 7-Zip opens no VHDX, QEMU's neither, whose size is not a multiple of 4 KiB.
    const names = Object.keys(lawDisks).filter(
      (name) => format !== 'vhdx' || createPatternDisk(lawDisks[name]!).size % (4 * KiB) === 0,
    )

    test.skipIf(!hasTool('7zz')).each(names)('reads the same in 7-Zip, %s', async (name) => {
      const { content, path } = await exportDisk(format, name)
      expect((await readWithSevenZip(sevenZipNames[format], path)).equals(content)).toBe(true)
    })
  },
)
