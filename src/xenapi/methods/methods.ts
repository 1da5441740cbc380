// The one table of calls: what the classes give, and what was written by hand. A call that stands
// here can be made in all protocols.

import { classes } from '../classes/classes.ts'
import { genericMethods } from '../generic-methods.ts'
import type { Method } from '../method.ts'
import { defineOpenMethod } from '../method.ts'
import { setOf, string } from '../wire/values.ts'
import { eventMethods } from './event.ts'
import { incomingMoveMethods } from './incoming-move.ts'
import { hostMigrateReceive } from './migrate-receive.ts'
import { pbdMethods } from './pbd.ts'
import { sessionMethods } from './session.ts'
import { srMethods } from './sr.ts'
import { taskMethods } from './task.ts'
import { userMethods } from './user.ts'
import { vbdMethods } from './vbd.ts'
import { vdiCopyMethods } from './vdi-copies.ts'
import { vdiDataDestroy } from './vdi-data-destroy.ts'
import { vdiIntroduceMethods } from './vdi-introduce.ts'
import { vdiMethods } from './vdi.ts'
import { vdiUpkeepMethods } from './vdi-upkeep.ts'
import { vdiChangedBlocksMethods } from './vdi-changed-blocks.ts'
import { vifMethods } from './vif.ts'
import { vmMethods } from './vm.ts'
import { vmMoveMethods } from './vm-moves.ts'
import { vmPowerMethods } from './vm-power.ts'

const ownMethods: readonly Method[] = [
  ...classes.flatMap(genericMethods),
  ...eventMethods,
  hostMigrateReceive,
  ...incomingMoveMethods,
  ...pbdMethods,
  ...sessionMethods,
  ...srMethods,
  ...taskMethods,
  ...userMethods,
  ...vdiMethods,
  ...vdiUpkeepMethods,
  ...vdiCopyMethods,
  ...vdiChangedBlocksMethods,
  vdiDataDestroy,
  ...vdiIntroduceMethods,
  ...vbdMethods,
  ...vifMethods,
  ...vmMethods,
  ...vmMoveMethods,
  ...vmPowerMethods,
]

const listMethods = defineOpenMethod({
  name: 'system.listMethods',
  parameters: {},
  result: setOf(string),
  run: async () => methods.map((method) => method.name).toSorted(),
})

export const methods: readonly Method[] = [...ownMethods, listMethods]
