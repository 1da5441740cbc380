// Waiting for several I/O operations such that none is still running when the wait is over.

/**
 * Waits until all have settled, then throws the first failure. Unlike Promise.all it never leaves
 * one behind that still fills a buffer.
 */
export const settleAll = async (steps: readonly Promise<void>[]): Promise<void> => {
  for (const result of await Promise.allSettled(steps)) {
    if (result.status === 'rejected') throw result.reason
  }
}
