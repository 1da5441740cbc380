// The use case of task.cancel: stops the transfer or the merging that a task stands for.

import type { OperationContext } from './context.ts'

/**
 * Returns before what runs has stopped. Harmless for a task that has ended, and for an unknown one.
 */
export const cancelTask = async (
  { catalog: { tasks }, transfers, storage }: OperationContext,
  taskRef: string,
): Promise<void> => {
  // The status is set first: a transfer that stops at once must not find the task pending.
  await tasks.cancelling(taskRef)
  if (transfers.cancel(taskRef) || storage.upkeep.cancel(taskRef)) return
  // Work that cannot be stopped ends the task itself; a task without work ends here.
  const task = await tasks.get(taskRef)
  if (task?.hasTransfer === false) await tasks.cancel(taskRef)
}
