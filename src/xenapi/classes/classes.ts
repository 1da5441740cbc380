// The one table of classes. A class that stands here has its records, getters and setters in all
// protocols.

import type { ApiClass } from '../class.ts'
import { hostClass } from './host.ts'
import { poolClass } from './pool.ts'
import { smClass } from './sm.ts'
import { srClass } from './sr.ts'
import { taskClass } from './task.ts'
import { vdiClass } from './vdi.ts'

export const classes: readonly ApiClass[] = [
  hostClass,
  poolClass,
  smClass,
  srClass,
  taskClass,
  vdiClass,
]
