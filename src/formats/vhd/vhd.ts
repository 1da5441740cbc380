// VHD: fixed, dynamic and differencing images of up to 2040 GiB, as XenServer, Hyper-V and qemu-img
// write them.

import type { LayerFormat } from '../format.ts'
import { MAXIMUM_VHD_SIZE } from './constants.ts'
import { createVhdLayer } from './create-layer.ts'
import { decodeVhd } from './decode.ts'
import { describeVhd } from './describe.ts'
import { openVhd } from './open.ts'
import { planVhd } from './plan.ts'

export const vhd: LayerFormat = {
  name: 'vhd',
  maximumSize: MAXIMUM_VHD_SIZE,
  planVersion: 2,
  planDate: new Date('2026-11-26T00:00:00Z'),
  open: openVhd,
  plan: planVhd,
  decode: decodeVhd,
  createLayer: createVhdLayer,
  describe: describeVhd,
}
