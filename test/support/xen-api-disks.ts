// Disks through the client library of Xen Orchestra: made, uploaded and downloaded, each with its
// task.

import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { expect } from 'vitest'
import type { FormatName } from '../../src/format-table.ts'
import { createTestFolder } from './tools.ts'
import { within } from './wait.ts'
import { type CachedRecord, streamOf, untilSeen, type XenApi } from './xen-api.ts'

export const importPath = '/import_raw_vdi/'
export const exportPath = '/export_raw_vdi/'

const srOf = (xapi: XenApi): string =>
  Object.values(xapi.objects.all).find(({ $type }) => $type === 'SR')!.$ref

/** What VDI.create takes, for the first SR. */
export const newVdi = (xapi: XenApi, virtualSize: number) => ({
  name_label: 'from orchestra',
  name_description: '',
  SR: srOf(xapi),
  virtual_size: virtualSize,
  type: 'user',
  sharable: false,
  read_only: false,
  other_config: {},
  sm_config: {},
})

/** Makes a VDI, and waits for the events to bring it. */
export const createXenApiVdi = async (xapi: XenApi, virtualSize: number): Promise<CachedRecord> => {
  const ref = await xapi.call<string>('VDI.create', newVdi(xapi, virtualSize))
  return untilSeen(xapi, 'the new VDI', ({ $ref }) => $ref === ref)
}

/** Uploads a file as it is; what the task gives. */
export const importFile = async (
  xapi: XenApi,
  vdi: CachedRecord,
  path: string,
  format: FormatName,
  length: 'known' | 'unknown' = 'known',
): Promise<unknown> =>
  xapi.putResource(await streamOf(path, length), importPath, { query: { vdi: vdi.$ref, format } })

/** Downloads into a new file and waits for the task; its path. */
export const exportFile = async (
  xapi: XenApi,
  query: { vdi: string; format: FormatName; base?: string },
): Promise<string> => {
  const target = join(await createTestFolder(), `out.${query.format}`)
  const { statusCode, body, task } = await xapi.getResource(exportPath, { query })
  expect(statusCode).toBe(200)
  await pipeline(body, createWriteStream(target))
  expect(await within('the task of an export', task)).toBe('')
  return target
}
