// Changed block tracking. diskport always knows what has changed, between any two VDIs; whether
// tracking is enabled is kept for clients, who look at it before they ask.

import { trackChanges } from '../../operations/track-changes.ts'
import { listChangedBlocks } from '../../operations/list-changed-blocks.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { refTo, voidType, wire } from '../wire/values.ts'

const setTracking = (name: string, cbtEnabled: boolean): SessionMethod =>
  defineMethod({
    name,
    role: 'vm-admin',
    isAsync: true,
    parameters: { self: parameter(refTo('VDI')) },
    result: voidType,
    run: ({ context }, { self }) => trackChanges(context, self, cbtEnabled),
  })

export const vdiChangedBlocksMethods: readonly SessionMethod[] = [
  setTracking('VDI.enable_cbt', true),
  setTracking('VDI.disable_cbt', false),
  defineMethod({
    name: 'VDI.list_changed_blocks',
    role: 'vm-operator',
    isAsync: true,
    isLarge: true,
    parameters: { vdi_from: parameter(refTo('VDI')), vdi_to: parameter(refTo('VDI')) },
    result: wire('string'),
    run: ({ context, signal }, args) =>
      listChangedBlocks(context, args.vdi_from, args.vdi_to, signal),
  }),
]
