// The end of a move, once its destination may have committed: it is asked until it says what it has
// decided. Run by the move itself, and after a restart.

import { setTimeout as wait } from 'node:timers/promises'
import type { OutgoingMoveRow } from '../../catalog/moves/outgoing-moves.ts'
import type { AppError } from '../../errors.ts'
import { toAppError } from '../../errors.ts'
import { RemoteCutError } from '../../remote/remote-errors.ts'
import { UndecidedError } from '../../transfer/with-task.ts'
import type { OperationContext } from '../context.ts'
import type { Destination } from './destination.ts'

type Settling = Pick<OutgoingMoveRow, 'uuid' | 'vmUuid' | 'sentVdis'> & {
  readonly taskRef: string | undefined
}

/** Between two questions, in milliseconds. */
const firstWait = 500
const longestWait = 60_000

/**
 * Asks for the commit, which is the same however often it is asked for, and then does here what the
 * destination has decided, however often that is tried. The caller holds the VM and its VDIs.
 * @returns the uuid of the VM at the destination
 * @throws AppError what the destination refused the commit with: the VM stays here;
 *   UndecidedError where the server stops first: it asks again when it starts
 */
export const settleMove = (
  context: OperationContext,
  destination: Destination,
  move: Settling,
): Promise<string> =>
  // As a transfer of its own, which no task.cancel reaches.
  context.transfers.run({}, async ({ signal }) => {
    const { catalog, storage, log } = context
    const asking = { context, destination, move, signal }
    const vmUuid = await untilDone(asking, questions.outcome, () => askOnce(destination, move))
    // Whatever keeps it from being written, the VM is held until it is: what the destination has
    // decided holds, and a VM that is used again here would be lost at the next start.
    if (typeof vmUuid !== 'string') {
      await untilDone(asking, questions.writing, () => catalog.outgoingMoves.forget(move.uuid))
      throw vmUuid
    }
    const srUuids = await untilDone(asking, questions.writing, () =>
      catalog.outgoingMoves.finish(move.uuid, { ref: move.taskRef, vmUuid }),
    )
    for (const srUuid of srUuids) storage.upkeep.collect(srUuid)
    await destination.forget().catch((error: unknown) => {
      log.warn({ error, move: move.uuid }, 'the destination keeps the record of a move')
    })
    return vmUuid
  })

interface Asking {
  readonly context: OperationContext
  readonly destination: Destination
  readonly move: Settling
  readonly signal: AbortSignal
}

/** What the log says of a step that has not succeeded yet. */
const questions = {
  outcome: 'the destination of a VM does not say yet whether it is there: asking again',
  writing: 'what the destination of a VM has decided could not be written: trying again',
} as const

/** @throws UndecidedError where the server stops first, and nothing else */
const untilDone = async <T>(
  { context: { log }, destination, move: { uuid, vmUuid }, signal }: Asking,
  message: string,
  step: () => Promise<T>,
): Promise<T> => {
  for (let milliseconds = firstWait; ; milliseconds = Math.min(longestWait, milliseconds * 2)) {
    try {
      return await step()
    } catch (error) {
      log.warn({ error, move: uuid, vm: vmUuid, destination: destination.host }, message)
    }
    await wait(milliseconds, undefined, { signal }).catch(() => {})
    if (signal.aborted) throw stopped(vmUuid, destination.host)
  }
}

const stopped = (vmUuid: string, host: string): UndecidedError => {
  const found = `The server stopped before ${host} said whether the VM ${vmUuid} is there`
  return new UndecidedError(`${found}; it is asked again at the next start`)
}

/** A state of the destination that passes: it has neither refused the commit nor taken it. */
const passing: ReadonlySet<string> = new Set(['TOO_BUSY', 'HOST_IS_SHUTTING_DOWN'])

/**
 * @returns the uuid of the VM there, or why nothing came of it
 * @throws where nothing is known yet
 */
const askOnce = async (
  destination: Destination,
  { sentVdis }: Settling,
): Promise<string | AppError> => {
  try {
    return await destination.commit(sentVdis)
  } catch (error) {
    if (error instanceof RemoteCutError || passing.has(toAppError(error).code)) throw error
    // A commit that was cut before may still be on its way: only a move that is given up there
    // cannot be committed any more.
    const { state, vmUuid } = await destination.outcome()
    if (state === 'committed' && vmUuid !== null) return vmUuid
    if (state === 'unknown') return toAppError(error)
    return await destination.abort().then(
      () => toAppError(error),
      async (reason: unknown) => {
        const decided = await destination.outcome()
        if (decided.state === 'committed' && decided.vmUuid !== null) return decided.vmUuid
        throw reason
      },
    )
  }
}
