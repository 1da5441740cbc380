// Counts turns of the event loop: what waits for nothing shows as no turn at all.

/** How many turns others have while `run` is under way, its end not counted. */
export const turnsDuring = async (run: () => Promise<unknown>): Promise<number> => {
  let turns = 0
  let isRunning = true
  const count = (): void => {
    if (!isRunning) return
    turns += 1
    setImmediate(count)
  }
  setImmediate(count)
  await run()
  isRunning = false
  return turns
}
