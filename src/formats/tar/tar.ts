// Tar as XenServer exports and imports disks with it: blocks of 1 MiB in files that are named by
// their numbers, a checksum beside each. Never a layer, and no delta.

import { MAXIMUM_DISK_SIZE } from '../../units.ts'
import type { ImageFormat } from '../format.ts'
import { decodeTar } from './decode.ts'
import { describeTar } from './describe.ts'
import { openTar } from './open.ts'
import { planTar } from './plan.ts'

export const tar: ImageFormat = {
  name: 'tar',
  maximumSize: MAXIMUM_DISK_SIZE,
  planVersion: 1,
  planDate: new Date('2026-11-27T00:00:00Z'),
  open: openTar,
  plan: planTar,
  decode: decodeTar,
  describe: describeTar,
}
