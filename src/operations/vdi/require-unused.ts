// Whether a VDI may go: nothing writes into it, and nothing moves it.

import { toRef } from '../../catalog/refs.ts'
import { AppError } from '../../errors.ts'
import type { OperationContext } from '../context.ts'

/** @throws AppError VDI_IN_USE [VDI, who holds it] */
export const requireUnused = ({ leases }: OperationContext, vdiUuid: string): void => {
  const holder = leases.holder(vdiUuid)
  if (holder !== undefined) throw new AppError('VDI_IN_USE', [toRef(vdiUuid), holder])
}
