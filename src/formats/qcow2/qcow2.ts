// QCOW2: QEMU's format, version 2 and 3. Reads what qemu-img makes; writes version 3 with clusters
// of 64 KiB.

import { MAXIMUM_DISK_SIZE } from '../../units.ts'
import type { LayerFormat } from '../format.ts'
import { checkQcow2Tables } from './check-tables.ts'
import { createQcow2Layer } from './create-layer.ts'
import { decodeQcow2 } from './decode.ts'
import { describeQcow2, qcow2ParentNames } from './describe.ts'
import { encodeQcow2 } from './encode.ts'
import { openQcow2 } from './open.ts'
import { planQcow2 } from './plan.ts'

export const qcow2: LayerFormat = {
  name: 'qcow2',
  maximumSize: MAXIMUM_DISK_SIZE,
  planVersion: 1,
  planDate: new Date('2026-11-01T00:00:00Z'),
  open: openQcow2,
  plan: planQcow2,
  decode: decodeQcow2,
  encode: encodeQcow2,
  encodePasses: 2,
  createLayer: createQcow2Layer,
  describe: describeQcow2,
  parentNames: qcow2ParentNames,
  checkTables: checkQcow2Tables,
}
