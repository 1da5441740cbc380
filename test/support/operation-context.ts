// What use cases are given, for tests: their own catalog and storage, nothing else under way.

import pino from 'pino'
import type { OperationContext } from '../../src/operations/context.ts'
import { createOperationContext } from '../../src/operations/context.ts'
import { createLeases } from '../../src/transfer/leases.ts'
import { createTransfers } from '../../src/transfer/transfers.ts'

type Parts = Pick<OperationContext, 'catalog' | 'storage' | 'hostUuid'> & Partial<OperationContext>

/** Without `dataFolder` there is none: nothing can be made in it. */
export const createTestContext = (parts: Parts): OperationContext =>
  createOperationContext({
    transfers: createTransfers(8),
    leases: createLeases(),
    vmLeases: createLeases(() => {}, 'VM'),
    log: pino({ level: 'silent' }),
    dataFolder: '/nowhere',
    srRoots: [],
    ...parts,
  })
