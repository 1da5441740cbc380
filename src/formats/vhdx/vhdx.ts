// VHDX: disks of Hyper-V. Fixed, dynamic and differencing ones come in; dynamic ones go out. Never
// a layer.

import { MAXIMUM_DISK_SIZE } from '../../units.ts'
import type { ImageFormat } from '../format.ts'
import { decodeVhdx } from './decode.ts'
import { describeVhdx } from './describe.ts'
import { openVhdx } from './open.ts'
import { planVhdx } from './plan.ts'

export const vhdx: ImageFormat = {
  name: 'vhdx',
  maximumSize: MAXIMUM_DISK_SIZE,
  planVersion: 1,
  planDate: new Date('2026-11-27T00:00:00Z'),
  open: openVhdx,
  plan: planVhdx,
  decode: decodeVhdx,
  describe: describeVhdx,
}
