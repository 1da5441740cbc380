// The use case of VM.assert_can_migrate: whether VM.migrate_send would begin. Nothing is made.

import type { OperationContext } from './context.ts'
import type { MigrateVmRequest } from './moves/check-move.ts'
import { checkMove } from './moves/check-move.ts'

/** @throws AppError what checkMove throws */
export const assertCanMigrate = async (
  context: OperationContext,
  request: MigrateVmRequest,
  signal: AbortSignal,
): Promise<void> => {
  await checkMove(context, request, signal)
}
