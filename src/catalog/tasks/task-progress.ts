// The progress of running tasks, which changes far too often for the database: kept in memory and
// written about once a second, all of it in one transaction that does not wait for the disk.

/** Between two writes, in milliseconds. */
const FLUSH_INTERVAL = 1000

interface TaskProgress {
  /** 0 to 1; what lies outside is brought in, what is no number is passed over. */
  set(uuid: string, fraction: number): void

  /** What was set and is not written yet. */
  get(uuid: string): number | undefined

  /** Drops what is not written: the task has ended or gone. */
  forget(uuid: string): void

  /** Writes what there is; returns when an earlier write has ended too. */
  flush(): Promise<void>

  /** Writes what there is; nothing is written after it. */
  close(): Promise<void>
}

/** @param write stores the given fractions; unknown and finished tasks must not mind */
export const createTaskProgress = (
  write: (fractions: ReadonlyMap<string, number>) => Promise<void>,
): TaskProgress => {
  const fractions = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined
  let flushing = Promise.resolve()
  let closed = false

  const flushNow = async (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    const written = new Map(fractions)
    if (written.size === 0) return
    await write(written)
    // What was set meanwhile waits for the next time.
    for (const [uuid, fraction] of written) {
      if (fractions.get(uuid) === fraction) fractions.delete(uuid)
    }
  }
  const flush = (): Promise<void> => {
    // Progress is only news. A database that cannot be written shows itself when the task ends.
    flushing = flushing.then(flushNow).catch(() => {})
    return flushing
  }
  return {
    set(uuid, fraction) {
      if (closed || Number.isNaN(fraction)) return
      fractions.set(uuid, Math.min(1, Math.max(0, fraction)))
      timer ??= setTimeout(() => void flush(), FLUSH_INTERVAL).unref()
    },
    get: (uuid) => fractions.get(uuid),
    forget(uuid) {
      fractions.delete(uuid)
    },
    flush,
    close() {
      closed = true
      return flush()
    },
  }
}
