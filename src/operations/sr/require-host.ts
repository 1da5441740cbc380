// The host that a call names beside a storage repository.

import { handleInvalid } from '../../object-errors.ts'
import type { OperationContext } from '../context.ts'

/** @throws AppError HANDLE_INVALID */
export const requireHost = async (
  { catalog }: Pick<OperationContext, 'catalog'>,
  uuid: string,
): Promise<void> => {
  if ((await catalog.hosts.get(uuid)) === undefined) throw handleInvalid('host', uuid)
}
