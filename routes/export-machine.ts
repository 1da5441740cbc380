// GET and HEAD /export: a VM with its disks as an OVA, whole or a range of it.

import type { Hono } from 'hono'
import { AppError } from '../src/errors.ts'
import { exportMachine } from '../src/operations/export-machine.ts'
import type { NodeEnvironment, RouteContext } from './environment.ts'
import { machineExportParameters } from './parameter-names.ts'
import type { Parameters } from './params.ts'
import { readReference } from './params.ts'
import { serveExport } from './serve-export.ts'

export const createMachineExportRoute = (context: RouteContext): Hono<NodeEnvironment> =>
  serveExport(context, {
    path: '/export',
    permission: 'http/get_export',
    parameterNames: machineExportParameters,
    async send({ parameters, task, deliver }) {
      requireOva(parameters)
      await exportMachine(context.operations, readVm(parameters), task, deliver)
    },
  })

/** XenServer's clients name a VM by either. */
const readVm = (parameters: Parameters): string =>
  readReference(parameters, parameters('uuid') === undefined ? 'ref' : 'uuid', 'VM')

/** @throws AppError VALUE_NOT_SUPPORTED for what an XVA is asked for, which is not written here */
const requireOva = (parameters: Parameters): void => {
  const format = parameters('format')
  if (format?.toLowerCase() !== 'ova') {
    const reason = 'a VM is exported as an OVA, say format=ova; XVA is read, not written'
    throw new AppError('VALUE_NOT_SUPPORTED', ['format', format ?? 'xva', reason])
  }
  const compression = parameters('use_compression')
  if (compression !== undefined && !['false', '0', 'no'].includes(compression.toLowerCase())) {
    const reason = 'say negotiate=true with Accept-Encoding in its place'
    throw new AppError('VALUE_NOT_SUPPORTED', ['use_compression', compression, reason])
  }
}
