// Snapshots, clones, copies and moves of VDIs. What each does is in operations/; here are the
// calls.

import { cloneVdi } from '../../operations/clone-vdi.ts'
import { copyVdi } from '../../operations/copy-vdi.ts'
import { migrateVdi } from '../../operations/migrate-vdi.ts'
import { snapshotVdi } from '../../operations/snapshot-vdi.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, optional, parameter } from '../method.ts'
import { optionalRefTo, refTo, stringMap } from '../wire/values.ts'

const vdi = parameter(refTo('VDI'))

/** For drivers of XenServer; ours needs no telling. */
const driverParams = optional(stringMap, {})

export const vdiCopyMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'VDI.snapshot',
    role: 'vm-admin',
    isAsync: true,
    parameters: { vdi, driver_params: driverParams },
    result: refTo('VDI'),
    run: ({ context, task }, args) => snapshotVdi(context, args.vdi, task.ref),
  }),
  defineMethod({
    name: 'VDI.clone',
    role: 'vm-admin',
    isAsync: true,
    parameters: { vdi, driver_params: driverParams },
    result: refTo('VDI'),
    run: ({ context, task }, args) => cloneVdi(context, args.vdi, task.ref),
  }),
  defineMethod({
    name: 'VDI.copy',
    role: 'vm-admin',
    isAsync: true,
    parameters: {
      vdi,
      sr: parameter(optionalRefTo('SR')),
      base_vdi: optional(optionalRefTo('VDI'), null),
      into_vdi: optional(optionalRefTo('VDI'), null),
    },
    result: refTo('VDI'),
    run({ context, task }, args) {
      const request = {
        vdiUuid: args.vdi,
        srUuid: args.sr,
        baseUuid: args.base_vdi,
        intoUuid: args.into_vdi,
      }
      return copyVdi(context, request, task)
    },
  }),
  defineMethod({
    name: 'VDI.pool_migrate',
    role: 'vm-power-admin',
    isAsync: true,
    parameters: { vdi, sr: parameter(refTo('SR')), options: optional(stringMap, {}) },
    result: refTo('VDI'),
    async run({ context, task }, { vdi: vdiUuid, sr: srUuid, options }) {
      const formatName = options['dest-img-format'] || undefined
      const request = { vdiUuid, srUuid, ...(formatName === undefined ? {} : { formatName }) }
      await migrateVdi(context, request, task)
      return vdiUuid
    },
  }),
]
