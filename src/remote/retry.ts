// Tries again what may succeed at another time.

import { setTimeout as wait } from 'node:timers/promises'

interface RetryOptions {
  /** How often at most, the first included. */
  readonly tries: number
  /** Aborted: its reason is thrown, and nothing is tried again. */
  readonly signal: AbortSignal
  readonly isRetriable: (error: unknown) => boolean
  /** Told before each wait. */
  readonly onRetry?: (error: unknown, milliseconds: number) => void
  /** Default: the clock. */
  readonly sleep?: (milliseconds: number, signal: AbortSignal) => Promise<unknown>
}

/** In milliseconds. */
const firstWait = 500
const longestWait = 30_000

/**
 * Waits longer from try to try, up to half a minute, each a little different from those of others.
 * @throws what the last try throws, or the first that is not worth another
 */
export const retried = async <T>(
  work: (attempt: number) => Promise<T>,
  { tries, signal, isRetriable, onRetry = () => {}, sleep = sleepFor }: RetryOptions,
): Promise<T> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work(attempt)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (attempt >= tries || !isRetriable(error)) throw error
      const longest = Math.min(longestWait, firstWait * 2 ** (attempt - 1))
      const milliseconds = longest * (0.5 + Math.random() / 2)
      onRetry(error, milliseconds)
      await sleep(milliseconds, signal).catch(() => {})
      if (signal.aborted) throw signal.reason
    }
  }
}

const sleepFor = (milliseconds: number, signal: AbortSignal): Promise<unknown> =>
  wait(milliseconds, undefined, { signal })
