// What the source of a move may do here, with the secret that host.migrate_receive gave it. These
// calls are diskport's own, as XenServer's toolstack has its own between its servers; what they
// carry is described in operations/moves/wire.ts.

import { beginIncomingMove } from '../../operations/begin-incoming-move.ts'
import { abortIncomingMove } from '../../operations/abort-incoming-move.ts'
import type { Outcome } from '../../operations/moves/wire.ts'
import {
  askedMove,
  completedVdi,
  incomingVdi,
  incomingVm,
  readAs,
  sentVdis,
} from '../../operations/moves/wire.ts'
import { checkIncomingMove } from '../../operations/moves/check-incoming-move.ts'
import { receiveVdi } from '../../operations/receive-vdi.ts'
import type { Identity } from '../authenticate.ts'
import type { XenApiContext } from '../context.ts'
import { incomingVmRow } from '../incoming-vm.ts'
import type { Method } from '../method.ts'
import { defineMethod, defineOpenMethod, parameter } from '../method.ts'
import { refTo, stringUpTo, voidType, wire } from '../wire/values.ts'

const forMoves = { role: 'vm-power-admin', isForMoves: true } as const

const json = parameter(wire('JSON value'))
const secret = parameter(stringUpTo(256))

/** The dispatcher lets no other session in. */
const moveOf = ({ moveUuid }: Identity): string => moveUuid!

const outcomeOf = async ({ catalog }: XenApiContext, shown: string): Promise<Outcome> => {
  const move = await catalog.incomingMoves.find(shown)
  return { state: move?.state ?? 'unknown', vmUuid: move?.vmUuid ?? null }
}

export const incomingMoveMethods: readonly Method[] = [
  defineMethod({
    name: 'incoming_move.check',
    ...forMoves,
    parameters: { move: json },
    result: wire('JSON value'),
    async run({ context }, { move }) {
      const placed = await checkIncomingMove(context, readAs(askedMove, move, 'move'))
      return placed.map((place) => ({ ...place }))
    },
  }),
  defineMethod({
    // The secret of an attempt, for all that follows; an earlier attempt is given up. In a map: the
    // audit log shows results that are references.
    name: 'incoming_move.begin',
    ...forMoves,
    parameters: {},
    result: wire('JSON value'),
    run: async ({ context, identity }) => ({
      secret: await beginIncomingMove(context, moveOf(identity)),
    }),
  }),
  defineMethod({
    name: 'incoming_move.create_VDI',
    ...forMoves,
    parameters: { vdi: json },
    result: voidType,
    run: ({ context, identity }, { vdi }) =>
      receiveVdi(context, moveOf(identity), readAs(incomingVdi, vdi, 'vdi')),
  }),
  defineMethod({
    // Another than before an upload: the upload has been taken.
    name: 'incoming_move.get_content',
    ...forMoves,
    parameters: { vdi: parameter(refTo('VDI')) },
    result: wire('string'),
    async run({ context, identity }, { vdi }) {
      const row = await context.catalog.vdis.ofMove(moveOf(identity)).get(vdi)
      return row?.contentUuid ?? ''
    },
  }),
  defineMethod({
    name: 'incoming_move.complete_VDI',
    ...forMoves,
    parameters: { vdi: json },
    result: voidType,
    run({ context, identity }, { vdi }) {
      const { snapshotTime, ...rest } = readAs(completedVdi, vdi, 'vdi')
      const time = snapshotTime === null ? null : new Date(snapshotTime)
      const row = { ...rest, snapshotTime: time }
      return context.catalog.incomingMoves.completeVdi(moveOf(identity), row)
    },
  }),
  defineMethod({
    name: 'incoming_move.add_VM',
    ...forMoves,
    parameters: { vm: json },
    result: voidType,
    async run({ context, identity }, { vm }) {
      const moveUuid = moveOf(identity)
      const row = incomingVmRow(readAs(incomingVm, vm, 'vm'), await networkOf(context, moveUuid))
      await context.catalog.incomingMoves.addVm(moveUuid, row)
    },
  }),
  defineMethod({
    name: 'incoming_move.commit',
    ...forMoves,
    parameters: { vdis: json },
    result: refTo('VM'),
    run: ({ context, identity }, { vdis }) =>
      context.catalog.incomingMoves.commit(moveOf(identity), readAs(sentVdis, vdis, 'vdis')),
  }),
  // These answer whoever shows the secret, also when the user who let the VM in has gone.
  defineOpenMethod({
    name: 'incoming_move.get_outcome',
    parameters: { secret },
    result: wire('JSON value'),
    run: async ({ context }, args) => ({ ...(await outcomeOf(context, args.secret)) }),
  }),
  defineOpenMethod({
    name: 'incoming_move.abort',
    parameters: { secret },
    result: voidType,
    async run({ context }, args) {
      const move = await context.catalog.incomingMoves.find(args.secret)
      if (move !== undefined) await abortIncomingMove(context, move.uuid)
    },
  }),
  defineOpenMethod({
    // The source knows the outcome.
    name: 'incoming_move.forget',
    parameters: { secret },
    result: voidType,
    async run({ context: { catalog } }, args) {
      const move = await catalog.incomingMoves.find(args.secret)
      if (move !== undefined) await catalog.incomingMoves.forget(move.uuid)
    },
  }),
]

const networkOf = async ({ catalog }: XenApiContext, moveUuid: string): Promise<string> =>
  (await catalog.incomingMoves.get(moveUuid)).networkUuid
