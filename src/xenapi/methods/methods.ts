// The one table of calls: what the classes give, and what was written by hand. A call that stands
// here can be made in all protocols.

import { classes } from '../classes/classes.ts'
import { genericMethods } from '../generic-methods.ts'
import type { Method } from '../method.ts'
import { defineOpenMethod } from '../method.ts'
import { setOf, string } from '../values.ts'
import { eventMethods } from './event.ts'
import { refusedMethods } from './refused.ts'
import { sessionMethods } from './session.ts'
import { srMethods } from './sr.ts'
import { taskMethods } from './task.ts'
import { userMethods } from './user.ts'
import { vdiCopyMethods } from './vdi-copies.ts'
import { vdiDataDestroy } from './vdi-data-destroy.ts'
import { vdiIntroduceMethods } from './vdi-introduce.ts'
import { vdiMethods } from './vdi.ts'
import { vdiChangedBlocksMethods } from './vdi-changed-blocks.ts'

const ownMethods: readonly Method[] = [
  ...classes.flatMap(genericMethods),
  ...eventMethods,
  ...sessionMethods,
  ...srMethods,
  ...taskMethods,
  ...userMethods,
  ...vdiMethods,
  ...vdiCopyMethods,
  ...vdiChangedBlocksMethods,
  vdiDataDestroy,
  ...vdiIntroduceMethods,
]

const listMethods = defineOpenMethod({
  name: 'system.listMethods',
  parameters: {},
  result: setOf(string),
  run: async () => offered.map((method) => method.name).toSorted(),
})

const offered: readonly Method[] = [...ownMethods, listMethods]

export const methods: readonly Method[] = [...offered, ...refusedMethods]
