// VMDK: whole disks of VMware in one file, monolithicSparse and streamOptimized. Never a layer, and
// no delta.

import type { ImageFormat } from '../format.ts'
import { MAXIMUM_VMDK_SIZE } from './constants.ts'
import { decodeVmdk } from './decode.ts'
import { describeVmdk } from './describe.ts'
import { encodeVmdk } from './encode.ts'
import { openVmdk } from './open.ts'
import { planVmdk } from './plan.ts'

export const vmdk: ImageFormat = {
  name: 'vmdk',
  maximumSize: MAXIMUM_VMDK_SIZE,
  planVersion: 1,
  planDate: new Date('2026-11-27T00:00:00Z'),
  open: openVmdk,
  plan: planVmdk,
  decode: decodeVmdk,
  describe: describeVmdk,
  encode: encodeVmdk,
}
