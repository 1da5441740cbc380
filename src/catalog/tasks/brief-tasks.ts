// Tasks that the server makes for transfers whose client named none. Most transfers are over within
// a second, and nobody could have seen them: their tasks live in memory alone. Those that last are
// then written down, told to those who watch, and end like all others. catalog.ts puts this around
// the tasks.

import { randomUUID } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { Layers } from '../layers/layers.ts'
import { refToUuid, toRef } from '../../refs.ts'
import type { NewTask, Tasks } from './tasks.ts'
import type { TaskRow } from './task-row.ts'
import { newTask } from './tasks.ts'
import type { Vdis } from '../vdis.ts'
import type { OutgoingMoves } from '../moves/outgoing-moves.ts'
import type { Vms } from '../vms/vms.ts'

/** How long such a task is kept in memory, in milliseconds. */
const briefTime = 1000

export interface TransferTasks extends Tasks {
  /**
   * A task that a transfer has from its beginning; its reference. It is among those that `list`
   * tells after a second, and is gone at its end where that comes before, unless it failed or was
   * cancelled by a call.
   */
  begin(task: Pick<NewTask, 'nameLabel' | 'userUuid'>): string

  /**
   * Runs `commit`, which ends the task together with what it is about, or not at all. Of one that
   * is in memory alone it is settled here that it can no longer be cancelled, unless `commit`
   * throws; `commit` is then told of no task.
   * @throws AppError TASK_CANCELLED where it was told to stop before; what `commit` throws
   */
  decide<T>(ref: string | undefined, commit: (ref: string | undefined) => Promise<T>): Promise<T>
}

interface Brief {
  row: TaskRow
  readonly timer: NodeJS.Timeout
  /** While it is being written. */
  keeping?: Promise<void> | undefined
}

export const withBriefTasks = (
  tasks: Tasks,
  now: () => Date,
): { readonly tasks: TransferTasks; readonly close: () => void } => {
  const briefs = new Map<string, Brief>()
  /** Those that end with what is committed for them: it is too late to cancel them. */
  const decided = new Set<string>()

  const find = (ref: string): Brief | undefined => briefs.get(refToUuid(ref) ?? '')
  const drop = ({ row, timer }: Brief): void => {
    clearTimeout(timer)
    briefs.delete(row.uuid)
  }
  const write = async (brief: Brief): Promise<void> => {
    try {
      await tasks.adopt(brief.row)
      drop(brief)
    } finally {
      brief.keeping = undefined
    }
  }
  /** @throws what the database throws: the task then stays in memory */
  const keep = (brief: Brief): Promise<void> => (brief.keeping ??= write(brief))

  /** Acts on the task once it is where all others are. */
  const onceKept = async <T>(ref: string, act: () => Promise<T>): Promise<T> => {
    const brief = find(ref)
    if (brief !== undefined) await keep(brief)
    return act()
  }
  /**
   * The end of a transfer. A task that nobody needs to hear of is forgotten, unless others may have
   * seen it already.
   */
  const end = async (ref: string, isNews: boolean, act: () => Promise<void>): Promise<void> => {
    decided.delete(refToUuid(ref) ?? '')
    const brief = find(ref)
    if (brief === undefined) return act()
    // No transfer fails because its task cannot be written, as on a full disk.
    const isKept =
      (isNews || brief.keeping !== undefined) &&
      (await keep(brief).then(
        () => true,
        () => false,
      ))
    return isKept ? act() : drop(brief)
  }

  const transferTasks: TransferTasks = {
    ...tasks,
    begin({ nameLabel, userUuid }) {
      const uuid = randomUUID()
      const row = {
        ...newTask,
        uuid,
        nameLabel,
        nameDescription: '',
        userUuid,
        subtaskOfUuid: null,
        hasTransfer: true,
        createdAt: now(),
      }
      const keepLater = (): void => void keep(brief).catch(() => {})
      const timer = setTimeout(keepLater, briefTime).unref()
      const brief: Brief = { row, timer }
      briefs.set(uuid, brief)
      return toRef(uuid)
    },
    async get(ref) {
      return find(ref)?.row ?? tasks.get(ref)
    },
    take: (ref, requireAllowed) => onceKept(ref, () => tasks.take(ref, requireAllowed)),
    requireFree: (ref, requireAllowed) =>
      onceKept(ref, () => tasks.requireFree(ref, requireAllowed)),
    async decide(ref, commit) {
      const brief = ref === undefined ? undefined : find(ref)
      // One that is being written is ended where all others are.
      if (brief?.keeping !== undefined) await brief.keeping.catch(() => {})
      if (brief === undefined || find(ref!) === undefined) return commit(ref)
      if (brief.row.status === 'cancelling') throw new AppError('TASK_CANCELLED', [ref!])
      decided.add(brief.row.uuid)
      try {
        return await commit(undefined)
      } catch (error) {
        decided.delete(brief.row.uuid)
        throw error
      }
    },
    setProgress(ref, fraction) {
      const brief = find(ref)
      if (brief === undefined) tasks.setProgress(ref, fraction)
      else brief.row = { ...brief.row, progress: fraction }
    },
    async cancelling(ref) {
      if (decided.has(refToUuid(ref) ?? '')) return
      const brief = find(ref)
      if (brief !== undefined) brief.row = { ...brief.row, status: 'cancelling' }
      await onceKept(ref, () => tasks.cancelling(ref)).catch((error: unknown) => {
        if (find(ref) === undefined) throw error
      })
    },
    succeed: (ref, result) => end(ref, false, () => tasks.succeed(ref, result)),
    fail: (ref, error) => end(ref, true, () => tasks.fail(ref, error)),
    // Where nobody asked for it, the client has left.
    cancel: (ref) => end(ref, find(ref)?.row.status === 'cancelling', () => tasks.cancel(ref)),
    async setStatus(ref, status) {
      if (decided.has(refToUuid(ref) ?? '')) return
      await onceKept(ref, () => tasks.setStatus(ref, status))
    },
    update: (ref, change) => onceKept(ref, () => tasks.update(ref, change)),
    destroy: (ref) => onceKept(ref, () => tasks.destroy(ref)),
  }
  return {
    tasks: transferTasks,
    close() {
      for (const brief of briefs.values()) drop(brief)
    },
  }
}

interface Committing {
  readonly vdis: Vdis
  readonly layers: Layers
  readonly vms: Vms
  readonly outgoingMoves: OutgoingMoves
}

/**
 * What long work ends with. A task that lives in memory alone cannot be ended in its transaction:
 * it is decided before.
 */
export const decideTasksFirst = (
  { decide }: Pick<TransferTasks, 'decide'>,
  { vdis, layers, vms, outgoingMoves }: Committing,
): Committing => ({
  vdis: {
    ...vdis,
    move: (moves, taskRef, madeUuid) => decide(taskRef, (ref) => vdis.move(moves, ref, madeUuid)),
  },
  layers: {
    ...layers,
    commit: (commit) => decide(commit.taskRef, (taskRef) => layers.commit({ ...commit, taskRef })),
    commitNew: (sealed, vdi, taskRef) =>
      decide(taskRef, (ref) => layers.commitNew(sealed, vdi, ref)),
  },
  vms: {
    ...vms,
    createCopy: (copy, taskRef) => decide(taskRef, (ref) => vms.createCopy(copy, ref)),
  },
  outgoingMoves: {
    ...outgoingMoves,
    commit: (uuid, sentVdis, taskRef) =>
      decide(taskRef, (ref) => outgoingMoves.commit(uuid, sentVdis, ref)),
  },
})
