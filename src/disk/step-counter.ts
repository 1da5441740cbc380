// Long walks over what is in memory already, in steps: a walk that waits for nothing would keep
// every other request waiting until its end. Used by whatever goes through runs, records or bytes.

/** Steps that a walk may make before others have their turn: a few milliseconds of them. */
export const STEPS_PER_PAUSE = 8192

/**
 * Counts `steps` (default 1). Now and then the answer is a promise: to be awaited before the next
 * step.
 */
type StepCounter = (steps?: number) => Promise<void> | undefined

/** @param stepsPerPause fewer where a step costs more */
export const createStepCounter = (stepsPerPause = STEPS_PER_PAUSE): StepCounter => {
  let left = stepsPerPause
  return (steps = 1) => {
    left -= steps
    if (left > 0) return undefined
    left = stepsPerPause
    return nextTurn()
  }
}

/** Returns when everything else that is ready has had its turn. */
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
