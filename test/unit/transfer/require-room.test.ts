// Which uploads plainly do not fit.

import { describe, expect, it } from 'vitest'
import type { AnnouncedImage } from '../../../src/transfer/require-room.ts'
import { requireRoom } from '../../../src/transfer/require-room.ts'
import { GiB, MiB } from '../../../src/units.ts'

const check = (free: number, image: AnnouncedImage) => {
  const space = async () => ({ size: 100 * GiB, used: 100 * GiB - free })
  const storage = { stores: { get: () => ({ space }) } }
  return requireRoom({ storage } as never, 'an-sr', image)
}

describe('an upload', () => {
  it.each([
    ['vhd', 10 * GiB + 4097],
    ['qcow2', 10 * GiB],
    ['VHD', 10 * GiB + 4097],
  ])(
    'of %s that is larger than what is free is refused with the numbers',
    async (formatName, length) => {
      await expect(check(9 * GiB, { formatName, length })).rejects.toMatchObject({
        code: 'SR_FULL',
        message: expect.stringMatching(
          /^The storage repository an-sr is full: the image has 10.*, 9.* are free there; an image /,
        ) as string,
      })
      await check(10 * GiB, { formatName, length })
    },
  )

  it.each([
    ['raw, whose zeros are not stored', { formatName: 'raw', length: 50 * GiB }],
    ['an unknown length', { formatName: 'vhd' }],
    [
      'a fixed VHD of the size of its VDI',
      { formatName: 'vhd', length: 20 * GiB + 512 + 1536, diskSize: 20 * GiB + 1536 },
    ],
    ['what may be a fixed VHD', { formatName: 'vhd', length: 20 * GiB + 512 }],
  ])('of %s may fit', async (_name, image) => {
    await expect(check(MiB, image)).resolves.toBeUndefined()
  })

  it.each(['raw', 'vhd', 'qcow2'])('of %s is refused where nothing is free', async (formatName) => {
    await expect(check(MiB - 1, { formatName })).rejects.toMatchObject({
      code: 'SR_FULL',
      message:
        'The storage repository an-sr is full: 1048575 bytes are free there, at least 1048576 are needed',
    })
  })
})
