// The laws for VHD, and properties over random disks.

import { describe } from 'vitest'
import { vhd } from '../../src/formats/vhd/vhd.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { diskLaws } from '../laws/disk-laws.ts'
import { formatLaws, lawDisks, testIdentity } from '../laws/format-laws.ts'
import { createPatternDisk, readAll } from '../support/disks.ts'

describe('vhd', () => {
  formatLaws(vhd)
  diskLaws('an opened vhd', async () =>
    vhd.open(
      createMemoryImage(
        await readAll(await vhd.plan(createPatternDisk(lawDisks['scattered']!), testIdentity)),
      ),
    ),
  )
})
