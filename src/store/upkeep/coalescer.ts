// Keeps chains short in the background: in each storage repository one run of layers is merged
// after the other, as a task, until no chain is longer than it may be or none can become shorter.

import type { Catalog } from '../../catalog/catalog.ts'
import type { LayerRow } from '../../catalog/layers/layer-row.ts'
import { AppError, toAppError } from '../../errors.ts'
import { formatBytes } from '../../units.ts'
import type { Merged, MergeOptions } from './merge-run.ts'
import { freedResult } from './merge-run.ts'
import type { Pace } from './pace.ts'

const minute = 60_000

/**
 * How long a layer is left alone after a failure: this, twice as long after each further one, up to
 * an hour.
 */
const firstDelay = minute
const longestDelay = 60 * minute

interface Coalescer {
  /** Merges what there is to merge, some time soon. While it runs already, it looks once more. */
  check(srUuid: string): void

  /** Ends the merging that this task stands for; false for another task. */
  cancel(taskRef: string): boolean

  /** Ends what runs in this storage repository, and forgets what it had in mind there. */
  leave(srUuid: string): void

  /** Ends what runs as soon as it can; nothing begins any more. */
  stop(): void

  /** Returns when nothing runs. */
  settled(): Promise<void>
}

export interface CoalescingOptions {
  /** Layers that a chain may have. */
  readonly maximumDepth: number
  /** Of all storage repositories together. */
  readonly pace: Pace
  readonly log: {
    info(fields: object, message: string): void
    error(fields: object, message: string): void
  }
  /** Calls `wake` once, that many milliseconds later; the returned function prevents it. */
  readonly later?: (milliseconds: number, wake: () => void) => () => void
}

interface CoalescerPorts extends CoalescingOptions {
  readonly catalog: Catalog
  /** False: the folder of the storage repository is away. Who brings it back has it checked. */
  readonly isAttached: (srUuid: string) => boolean
  readonly merge: (run: readonly LayerRow[], options: MergeOptions) => Promise<Merged | undefined>
}

/** What goes on in one storage repository. */
interface Watch {
  isRunning: boolean
  /** Something has changed since it was last looked at. */
  isDue: boolean
  /** How often merging into this layer has failed in a row. */
  readonly failures: Map<string, number>
  /** The layers of runs that failed. */
  readonly postponed: Set<string>
  /** Prevents the next look at what was postponed. */
  retry: (() => void) | undefined
  readonly end: AbortController
}

const createWatch = (): Watch => ({
  isRunning: false,
  isDue: false,
  failures: new Map(),
  postponed: new Set(),
  retry: undefined,
  end: new AbortController(),
})

export const createCoalescer = (ports: CoalescerPorts): Coalescer => {
  const { catalog, maximumDepth, log, later = laterByTimer } = ports
  const watches = new Map<string, Watch>()
  const running = new Set<Promise<void>>()
  const jobs = new Map<string, AbortController>()
  let isStopped = false

  const mergeNext = async (srUuid: string, watch: Watch): Promise<boolean> => {
    const { postponed, failures, end } = watch
    if (!ports.isAttached(srUuid)) return false
    const run = await catalog.coalescing.nextRun(srUuid, { maximumDepth, postponed })
    if (run === undefined || end.signal.aborted) return false
    const { uuid } = run[0]!
    try {
      await runJob(ports, jobs, run, end.signal)
      failures.delete(uuid)
    } catch (error) {
      if (end.signal.aborted) return false
      // A user who cancels the task wants the merge later: this is not a failure.
      if (toAppError(error).code === 'TASK_CANCELLED') {
        log.info({ srUuid, layer: uuid }, 'merging layers was cancelled: later again')
      } else {
        log.error({ error, srUuid, layer: uuid }, 'merging layers failed: later again')
      }
      failures.set(uuid, (failures.get(uuid) ?? 0) + 1)
      for (const layer of run) postponed.add(layer.uuid)
    }
    return true
  }

  const work = async (srUuid: string, watch: Watch): Promise<void> => {
    try {
      while (watch.isDue && !watch.end.signal.aborted) {
        watch.isDue = false
        while (await mergeNext(srUuid, watch));
      }
    } catch (error) {
      log.error({ error, srUuid }, 'looking for layers to merge')
    } finally {
      watch.isRunning = false
      retryLater(srUuid, watch)
    }
  }

  const retryLater = (srUuid: string, watch: Watch): void => {
    const { postponed, failures, end } = watch
    if (end.signal.aborted || postponed.size === 0 || watch.retry !== undefined) return
    const most = Math.max(1, ...[...postponed].map((uuid) => failures.get(uuid) ?? 1))
    watch.retry = later(Math.min(longestDelay, firstDelay * 2 ** (most - 1)), () => {
      watch.retry = undefined
      postponed.clear()
      check(srUuid)
    })
  }

  const check = (srUuid: string): void => {
    if (isStopped) return
    const watch = watches.get(srUuid) ?? createWatch()
    watches.set(srUuid, watch)
    watch.isDue = true
    if (watch.isRunning) return
    watch.isRunning = true
    const started = work(srUuid, watch).finally(() => running.delete(started))
    running.add(started)
  }

  const end = ({ end, retry }: Watch): void => {
    retry?.()
    end.abort(new AppError('HOST_IS_SHUTTING_DOWN', []))
  }

  return {
    check,
    cancel(taskRef) {
      const job = jobs.get(taskRef)
      job?.abort(new AppError('TASK_CANCELLED', [taskRef]))
      return job !== undefined
    },
    leave(srUuid) {
      const watch = watches.get(srUuid)
      if (watch !== undefined) end(watch)
      watches.delete(srUuid)
    },
    stop() {
      isStopped = true
      for (const watch of watches.values()) end(watch)
    },
    async settled() {
      while (running.size > 0) await Promise.all(running)
    },
  }
}

/** Merges one run as a task of its own. Throws what went wrong after the task has ended. */
const runJob = async (
  { catalog, pace, log, merge }: CoalescerPorts,
  jobs: Map<string, AbortController>,
  run: readonly LayerRow[],
  end: AbortSignal,
): Promise<void> => {
  const [top] = run
  const { srUuid, uuid: layer } = top!
  const total = run.reduce((sum, { fileSize }) => sum + fileSize, 0)
  const ref = await catalog.tasks.create({
    nameLabel: `Coalescing SR ${(await catalog.srs.get(srUuid))?.nameLabel || srUuid}`,
    nameDescription: `${run.length} layers of ${formatBytes(total)} become one: ${layer}`,
    userUuid: null,
  })
  await catalog.tasks.take(ref)
  const job = new AbortController()
  const signal = AbortSignal.any([end, job.signal])
  jobs.set(ref, job)
  log.info({ srUuid, layer, layers: run.length, bytes: total }, 'merging layers')
  let done = 0
  const beforePiece = async (bytes: number): Promise<void> => {
    await pace.take(bytes, signal)
    done += bytes
    catalog.tasks.setProgress(ref, Math.min(1, done / Math.max(1, total)))
  }
  try {
    const merged = await merge(run, { signal, beforePiece, taskRef: ref })
    const { fileSize = 0, freed = 0 } = merged ?? {}
    await catalog.tasks.succeed(ref, freedResult(freed))
    const outcome =
      merged === undefined ? 'the layers are needed one by one again' : 'merged layers'
    log.info({ srUuid, layer, layers: run.length, bytes: fileSize, freed }, outcome)
  } catch (error) {
    const reason = toAppError(error)
    if (reason.code === 'TASK_CANCELLED') await catalog.tasks.cancel(ref)
    else await catalog.tasks.fail(ref, reason)
    throw reason
  } finally {
    jobs.delete(ref)
  }
}

const laterByTimer = (milliseconds: number, wake: () => void): (() => void) => {
  const timer = setTimeout(wake, milliseconds)
  timer.unref()
  return () => clearTimeout(timer)
}
