// The use case of VM.migrate_send: a VM goes to another server, or to other places on this one,
// with its snapshots and disks: whole or not at all. The destination decides; docs/moves.md says
// how.

import { randomUUID } from 'node:crypto'
import type { SentVdi } from '../catalog/moves/move-tables.ts'
import { refToUuid } from '../refs.ts'
import { nameOfVm } from './vm/find-vm.ts'
import type { TaskHandle } from '../transfer/with-task.ts'
import type { OperationContext } from './context.ts'
import type { CheckedMove, MigrateVmRequest } from './moves/check-move.ts'
import { checkMove } from './moves/check-move.ts'
import { describeMachine, describeVdis } from './moves/describe-machine.ts'
import type { Destination, DestinationKey } from './moves/destination.ts'
import { openDestination } from './moves/destination.ts'
import { moveHere } from './moves/move-here.ts'
import { reached } from './moves/reached.ts'
import type { Sending } from './moves/send-disks.ts'
import { persistently, sendDisks } from './moves/send-disks.ts'
import { settleMove } from './moves/settle-move.ts'
import { takeMachine } from './moves/take-machine.ts'

/**
 * @returns the uuid of the VM at the destination
 * @throws AppError what assertCanMigrate throws; OTHER_OPERATION_IN_PROGRESS while something else
 *   is done with the VM or a disk; CANNOT_CONTACT_HOST, VDI_IO_ERROR, SR_FULL, TOO_BUSY,
 *   TASK_CANCELLED: the VM stays here then, and nothing of it is there
 */
export const migrateVm = (
  context: OperationContext,
  request: MigrateVmRequest,
  task: TaskHandle,
): Promise<string> =>
  context.transfers.run(task, async ({ signal, turn, open }) => {
    // First without holding anything: a refusal must not wait for anybody.
    await checkMove(context, request, signal)
    const holder = task.ref ?? 'a migration'
    const taken = await takeMachine(context, request.vmUuid, holder)
    try {
      const move = await checkMove(context, request, signal)
      taken.requireAll(move.machine)
      task.begin(`Migration of ${nameOfVm(move.machine.vm)}`)
      const { to } = move
      if ('key' in to) return await sendVm(context, request, { ...move, ...to }, { task, signal })
      await open()
      await moveHere(context, move, { signal, turn, task })
      await context.catalog.incomingMoves.abort(to.moveHere).catch((error: unknown) => {
        context.log.warn({ error, vm: request.vmUuid }, 'the invitation of a move stays')
      })
      return request.vmUuid
    } finally {
      taken.release()
    }
  })

type Sent = Omit<CheckedMove, 'to'> & { readonly key: DestinationKey }

const sendVm = async (
  context: OperationContext,
  { copies }: MigrateVmRequest,
  { machine, places, key, networkOfVif }: Sent,
  { task, signal }: Pick<Sending, 'task' | 'signal'>,
): Promise<string> => {
  const { catalog } = context
  const attempt = await beginAttempt(context, key, signal)
  const destination = openDestination(attempt, context.migrateAuthorities)
  const uuid = randomUUID()
  const vmUuid = machine.vm.uuid
  try {
    await catalog.outgoingMoves.begin({
      uuid,
      vmUuid,
      copies,
      taskUuid: refToUuid(task.ref ?? '') ?? null,
      vdiUuids: [...machine.vdis.keys()],
      remote: { ...attempt },
    })
    let sentVdis: readonly SentVdi[]
    try {
      const sending = { context, destination, task, signal }
      const disks = [...machine.vdis.values()].map((vdi, index) => [vdi, places[index]!] as const)
      const there = await sendDisks(sending, disks)
      sentVdis = [...there.values()]
      const vdis = new Map([...there].map(([here, vdi]) => [here, vdi.uuid] as const))
      for (const vdi of describeVdis(machine, vdis)) {
        await persistently(sending, () => destination.completeVdi(vdi, signal))
      }
      for (const vm of describeMachine(machine, { copies, vdis, networkOfVif })) {
        await persistently(sending, () => destination.addVm(vm, signal))
      }
      await catalog.outgoingMoves.commit(uuid, sentVdis, task.ref)
    } catch (error) {
      await giveUp(context, destination, uuid)
      throw reached(error)
    }
    return await settleMove(context, destination, { uuid, vmUuid, sentVdis, taskRef: task.ref })
  } finally {
    destination.close()
  }
}

/** What an earlier attempt with the same key has left there goes. */
const beginAttempt = async (
  context: OperationContext,
  key: DestinationKey,
  signal: AbortSignal,
): Promise<DestinationKey> => {
  const destination = openDestination(key, context.migrateAuthorities)
  try {
    const sending = { context, destination, signal }
    const secret = await persistently(sending, () => destination.begin(signal))
    return { ...key, secret }
  } catch (error) {
    throw reached(error)
  } finally {
    destination.close()
  }
}

/** Nothing has been committed. A destination that does not hear of it gives up by itself. */
const giveUp = async (
  { catalog, log }: OperationContext,
  destination: Destination,
  uuid: string,
): Promise<void> => {
  await destination.abort().catch((error: unknown) => {
    log.warn({ error, move: uuid }, 'the destination was not told that nothing comes')
  })
  // Told is why nothing came of it.
  await catalog.outgoingMoves.forget(uuid).catch((error: unknown) => {
    log.error({ error, move: uuid }, 'a VM cannot move until the server starts again')
  })
}
