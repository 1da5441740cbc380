// VDI: whole disks as VirtualBox writes them, dynamic and fixed. Never a layer, and no delta.

import { MAXIMUM_DISK_SIZE } from '../../units.ts'
import type { ImageFormat } from '../format.ts'
import { decodeVdi } from './decode.ts'
import { describeVdi } from './describe.ts'
import { openVdi } from './open.ts'
import { planVdi } from './plan.ts'

export const vdi: ImageFormat = {
  name: 'vdi',
  maximumSize: MAXIMUM_DISK_SIZE,
  planVersion: 1,
  planDate: new Date('2026-11-27T00:00:00Z'),
  open: openVdi,
  plan: planVdi,
  decode: decodeVdi,
  describe: describeVdi,
}
