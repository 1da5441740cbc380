// Bytes of exports are pinned: who changes them raises the format's planVersion, so that a download
// of the old bytes is not continued with new ones, and then writes the new digest here.

import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import type { FormatName } from '../../../src/format-table.ts'
import type { ImageIdentity } from '../../../src/formats/format.ts'
import { formatNames, formatTable } from '../../../src/format-table.ts'
import { formats } from '../../../src/formats/registry.ts'
import { MiB } from '../../../src/units.ts'
import { testIdentity } from '../../laws/format-laws.ts'
import type { PatternPart } from '../../support/disks.ts'
import { createPatternDisk, readAll } from '../../support/disks.ts'

const disks: readonly (readonly PatternPart[])[] = [
  [['data', MiB + 512]],
  [
    ['data', 512],
    ['hole', 6 * MiB],
    ['zero', 3 * MiB],
    ['data', 2 * MiB],
    ['hole', 5 * MiB - 512],
  ],
]

const base: ImageIdentity['base'] = {
  uuid: '11111111-2222-4333-8444-555555555555',
  timestamp: new Date(0),
}

/** Of images of all disks: whole, and as a delta where the format has one. */
const digestOf = async (name: FormatName): Promise<string> => {
  const digest = createHash('sha256')
  for (const parts of disks) {
    for (const identity of [testIdentity, { ...testIdentity, base }]) {
      if (identity.base !== undefined && !formatTable[name].exportsDeltas) continue
      const image = await formats[name].plan(createPatternDisk(parts), identity)
      digest.update(await readAll(image))
      await image.close()
    }
  }
  return digest.digest('hex').slice(0, 16)
}

test.each(formatNames)('the bytes of a %s export are those of its plan version', async (name) => {
  const { planVersion } = formats[name]
  expect(`${name} ${planVersion} ${await digestOf(name)}`).toBe(pinned[name])
})

const pinned = {
  raw: 'raw 1 121b78eb4d5df7ca',
  vhd: 'vhd 2 4eb1d74e8f098115',
  qcow2: 'qcow2 1 49eab3c2794d0ffd',
  vdi: 'vdi 1 a63c1b811b093468',
  vmdk: 'vmdk 1 c60c7aaaf2231696',
  vhdx: 'vhdx 1 2e96f53cbf0c64c5',
  tar: 'tar 1 c3b0bec313ded68a',
}
