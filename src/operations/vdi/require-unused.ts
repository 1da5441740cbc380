// Whether a VDI may go: nothing writes into it, and nothing moves it.

import type { OperationContext } from '../context.ts'
import { vdiInUse } from '../../object-errors.ts'

/** @throws AppError VDI_IN_USE [VDI, who holds it] */
export const requireUnused = ({ leases }: OperationContext, vdiUuid: string): void => {
  const holder = leases.holder(vdiUuid)
  if (holder !== undefined) throw vdiInUse(vdiUuid, holder)
}
