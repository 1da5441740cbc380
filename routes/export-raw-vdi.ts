// GET and HEAD /export_raw_vdi: a VDI as an image file, whole or a range of it.

import type { Hono } from 'hono'
import type { ExportRequest } from '../src/operations/vdi/open-export.ts'
import { exportVdi } from '../src/operations/export-vdi.ts'
import type { NodeEnvironment, RouteContext } from './environment.ts'
import { exportParameters } from './parameter-names.ts'
import type { Parameters } from './params.ts'
import { readChoice, readNarrowing, readReference } from './params.ts'
import { leavingOf } from './streaming.ts'
import { serveExport } from './serve-export.ts'

export const createExportRoute = (context: RouteContext): Hono<NodeEnvironment> =>
  serveExport(context, {
    path: '/export_raw_vdi',
    permission: 'http/get_export_raw_vdi',
    parameterNames: exportParameters,
    async send({ parameters, task, deliver, outgoing }) {
      const request = { ...readRequest(parameters), clientLeft: leavingOf(outgoing) }
      await exportVdi(context.operations, request, task, deliver)
    },
  })

const readRequest = (parameters: Parameters): ExportRequest => {
  const delta = readChoice(parameters, 'delta', ['compatible', 'compact'])
  const place = parameters('for')
  const formatName = parameters('format')
  const subformat = parameters('subformat')
  const compression = parameters('compression')
  const narrow = readNarrowing(parameters)
  const base = parameters('base')
  return {
    vdiUuid: readReference(parameters, 'vdi', 'VDI'),
    ...(place === undefined ? {} : { place }),
    ...(formatName === undefined ? {} : { formatName }),
    options: {
      ...(delta === undefined ? {} : { delta }),
      ...(subformat === undefined ? {} : { subformat }),
      ...(compression === undefined ? {} : { compression }),
    },
    ...(base === undefined ? {} : { baseUuid: readReference(parameters, 'base', 'VDI') }),
    ...(narrow === undefined ? {} : { narrow }),
  }
}
