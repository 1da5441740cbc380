// The one table of classes. A class that stands here has its records, getters and setters in all
// protocols.

import type { ApiClass } from '../class.ts'
import { hostClass } from './host.ts'
import { hostMetricsClass } from './host-metrics.ts'
import { messageClass } from './message.ts'
import { networkClass } from './network.ts'
import { pbdClass } from './pbd.ts'
import { pifClass } from './pif.ts'
import { poolClass } from './pool.ts'
import { sessionClass } from './session.ts'
import { smClass } from './sm.ts'
import { srClass } from './sr.ts'
import { taskClass } from './task.ts'
import { userClass } from './user.ts'
import { vdiClass } from './vdi.ts'
import { vbdClass } from './vbd.ts'
import { vifClass } from './vif.ts'
import { vmClass } from './vm.ts'

export const classes: readonly ApiClass[] = [
  hostClass,
  hostMetricsClass,
  messageClass,
  networkClass,
  pbdClass,
  pifClass,
  poolClass,
  sessionClass,
  smClass,
  srClass,
  taskClass,
  userClass,
  vbdClass,
  vdiClass,
  vifClass,
  vmClass,
]
