// Uploads and downloads of whole images with curl, as a person makes them.

import { expect } from 'vitest'
import type { FormatName } from '../../src/format-table.ts'
import { curl, type CurlResult } from './curl.ts'
import { rootPassword, type TestServer } from './server.ts'

/** For curl: the user root. */
export const asRoot = ['-u', `root:${rootPassword}`]

type Query = Record<string, string>

const address = (server: TestServer, path: string, query: Query): string =>
  `${server.url}${path}?${new URLSearchParams(query).toString()}`

export const exportUrl = (server: TestServer, vdi: string, format: string, more: Query = {}) =>
  address(server, '/export_raw_vdi', { vdi, format, ...more })

export const importUrl = (server: TestServer, query: Query) =>
  address(server, '/import_raw_vdi', query)

/** Throws unless curl got `status`; shows what the server said instead. */
export const expectStatus = async (answer: CurlResult, status: number): Promise<void> => {
  if (answer.status === status) return
  const said = `${(await answer.text()).slice(0, 1000)}${answer.stderr}`
  throw new Error(`The answer is ${answer.status}, not ${status}: ${said}`)
}

/** Uploads into a VDI that the server makes on its default SR; its uuid. */
export const uploadNew = async (
  server: TestServer,
  path: string,
  format: FormatName,
): Promise<string> => {
  const url = importUrl(server, { sr_uuid: 'default', format })
  const result = await curl(...asRoot, '-T', path, url)
  await expectStatus(result, 200)
  const body = await result.text()
  const uuid = result.headers.get('vdi-uuid') ?? ''
  expect(body).toBe(`${uuid}\n`)
  expect(uuid).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  return uuid
}

/** Uploads into a VDI that is there. */
export const upload = (
  server: TestServer,
  vdi: string,
  path: string,
  format: string,
  ...args: string[]
): Promise<CurlResult> => curl(...asRoot, '-T', path, ...args, importUrl(server, { vdi, format }))

/** Downloads a whole image; the file is gone with the test. */
export const download = async (
  server: TestServer,
  vdi: string,
  format: FormatName,
): Promise<CurlResult> => {
  const result = await curl(...asRoot, exportUrl(server, vdi, format))
  await expectStatus(result, 200)
  if (result.exitCode !== 0) throw new Error(`The download broke: ${result.stderr}`)
  return result
}
