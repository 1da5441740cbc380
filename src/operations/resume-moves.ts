// What a crash left of VMs on their way elsewhere. One whose destination may have committed is held
// until that says what it has decided; any other stays here.

import type { OutgoingMoveRow } from '../catalog/moves/outgoing-moves.ts'
import { toAppError } from '../errors.ts'
import { toRef } from '../refs.ts'
import { UndecidedError } from '../transfer/with-task.ts'
import type { OperationContext } from './context.ts'
import type { Destination, DestinationKey } from './moves/destination.ts'
import { openDestination } from './moves/destination.ts'
import { settleMove } from './moves/settle-move.ts'
import { takeAll } from './moves/take-machine.ts'

/** Returns when all are held; what their destinations say is waited for in the background. */
export const resumeMoves = async (context: OperationContext): Promise<void> => {
  for (const move of await context.catalog.outgoingMoves.list()) {
    const { uuid, vmUuid, state } = move
    context.log.warn({ move: uuid, vm: vmUuid, state }, 'a VM was on its way when the server ended')
    if (state === 'committing') await hold(context, move)
    else await giveUp(context, move)
  }
}

const hold = async (context: OperationContext, move: OutgoingMoveRow): Promise<void> => {
  const { catalog } = context
  const { vmUuid, vdiUuids, taskUuid } = move
  const snapshots = await catalog.vms.snapshotsOf(vmUuid)
  const vms = [vmUuid, ...snapshots.filter((vm) => vm.isSnapshot).map(({ uuid }) => uuid)]
  const taskRef = taskUuid === null ? undefined : toRef(taskUuid)
  const release = takeFree(context, move, { vms, vdis: vdiUuids }, taskRef ?? 'a migration')
  void settle(context, move, taskRef).finally(release)
}

/** Another move may hold the same VM: then that holds it, and this one waits for nobody. */
const takeFree = (
  context: OperationContext,
  { uuid, vmUuid }: OutgoingMoveRow,
  members: Parameters<typeof takeAll>[1],
  holder: string,
): (() => void) => {
  try {
    return takeAll(context, members, holder)
  } catch (error) {
    context.log.error({ error, move: uuid, vm: vmUuid }, 'a VM is held by another move')
    return () => {}
  }
}

const settle = async (
  context: OperationContext,
  move: OutgoingMoveRow,
  taskRef: string | undefined,
): Promise<void> => {
  const { catalog, log } = context
  const facts = { move: move.uuid, vm: move.vmUuid }
  try {
    const there = await withDestination(context, move, (destination) =>
      settleMove(context, destination, { ...move, taskRef }),
    )
    log.info({ ...facts, there }, 'the destination has the VM')
  } catch (error) {
    log.error({ ...facts, error }, 'nothing came of the move of a VM')
    const isUndecided = error instanceof UndecidedError
    if (taskRef === undefined || isUndecided) return
    await catalog.tasks.fail(taskRef, toAppError(error)).catch(() => {})
  }
}

/** A destination that does not hear of it gives up by itself. */
const giveUp = async (context: OperationContext, move: OutgoingMoveRow): Promise<void> => {
  const { catalog, log } = context
  await catalog.outgoingMoves.forget(move.uuid).catch((error: unknown) => {
    log.error({ error, move: move.uuid }, 'a VM cannot move until the server starts again')
  })
  void withDestination(context, move, (destination) => destination.abort()).catch(
    (error: unknown) => {
      context.log.warn(
        { error, move: move.uuid },
        'the destination was not told that nothing comes',
      )
    },
  )
}

const withDestination = async <T>(
  { migrateAuthorities }: OperationContext,
  { remote }: OutgoingMoveRow,
  work: (destination: Destination) => Promise<T>,
): Promise<T> => {
  // As begin wrote it.
  const destination = openDestination(remote as unknown as DestinationKey, migrateAuthorities)
  try {
    return await work(destination)
  } finally {
    destination.close()
  }
}
