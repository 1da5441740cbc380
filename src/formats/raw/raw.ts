// Raw: the file is the disk. The smallest format, the one to read first; its siblings have the
// same shape: a table of what they are here, and one file for each verb.

import { MAXIMUM_DISK_SIZE } from '../../units.ts'
import type { LayerFormat } from '../format.ts'
import { createRawLayer } from './create-layer.ts'
import { decodeRaw } from './decode.ts'
import { openRaw } from './open.ts'
import { planRaw } from './plan.ts'

export const raw: LayerFormat = {
  name: 'raw',
  maximumSize: MAXIMUM_DISK_SIZE,
  planVersion: 1,
  planDate: new Date('2026-11-01T00:00:00Z'),
  open: openRaw,
  plan: planRaw,
  decode: decodeRaw,
  createLayer: createRawLayer,
  describe: async () => ({ isHidden: false }),
}
