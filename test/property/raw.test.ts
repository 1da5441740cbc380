// The laws for raw, and for the two disks that need no file.

import { describe } from 'vitest'
import { createMemoryDisk } from '../../src/disk/memory-disk.ts'
import { raw } from '../../src/formats/raw/raw.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { KiB } from '../../src/units.ts'
import { diskLaws } from '../laws/disk-laws.ts'
import { formatLaws, layerLaws, lawDisks, writeDisk } from '../laws/format-laws.ts'
import { createPatternDisk, readAll } from '../support/disks.ts'

describe('raw', () => {
  formatLaws(raw)
  layerLaws(raw)
  diskLaws('an opened raw image', async () =>
    raw.open(createMemoryImage(await readAll(createPatternDisk(lawDisks['scattered']!)))),
  )
})

describe('memory disk', () => {
  diskLaws('a memory disk', async () => {
    const source = createPatternDisk(lawDisks['scattered']!)
    const disk = createMemoryDisk(source.size)
    await writeDisk(source, disk, 64 * KiB)
    return disk
  })
})
