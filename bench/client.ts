// What the benchmark asks of the server: with curl, a client that costs little, and JSON-RPC.

import { login } from '../test/support/json-rpc.ts'
import { rootPassword, type TestServer } from '../test/support/spawn-server.ts'
import { timed } from './processes.ts'

export const formats = ['raw', 'vhd', 'qcow2', 'vmdk', 'vhdx'] as const
export type Format = (typeof formats)[number]

/** What qemu-img calls a format. */
export const qemuName = (format: Format): string => (format === 'vhd' ? 'vpc' : format)

const user = ['-u', `root:${rootPassword}`]

const exportUrl = (server: TestServer, uuid: string, format: Format): string =>
  `${server.url}/export_raw_vdi?vdi=${uuid}&format=${format}`

/** Downloads a URL and throws it away; seconds. */
export const fetchAway = (url: string, more: readonly string[] = []): Promise<number> =>
  timed('curl', ['-sSf', ...more, '-o', '/dev/null', url])

/** Downloads an export; seconds. */
export const exportDisk = (
  server: TestServer,
  uuid: string,
  format: Format,
  more: readonly string[] = [],
): Promise<number> => fetchAway(exportUrl(server, uuid, format), [...user, ...more])

/** How long an export is, in bytes. */
export const exportSize = async (
  server: TestServer,
  uuid: string,
  format: Format,
): Promise<number> => {
  const authorization = `Basic ${Buffer.from(`root:${rootPassword}`).toString('base64')}`
  const url = exportUrl(server, uuid, format)
  const answer = await fetch(url, { method: 'HEAD', headers: { authorization } })
  return Number(answer.headers.get('content-length'))
}

/** Uploads a file into a new VDI; seconds until it is committed. */
export const importDisk = (server: TestServer, path: string, format: Format): Promise<number> => {
  const url = `${server.url}/import_raw_vdi?sr_uuid=default&format=${format}`
  return timed('curl', ['-sSf', ...user, '-T', path, '-o', '/dev/null', url])
}

/** Downloads a disk and uploads it to another server at once; seconds until it is committed. */
export const pipeDisk = (
  server: TestServer,
  uuid: string,
  there: TestServer,
  format: Format,
): Promise<number> => {
  const to = `${there.url}/import_raw_vdi?sr_uuid=default&format=${format}`
  const curl = `curl -sSf -u "$3"`
  const pipe = `set -o pipefail; ${curl} "$1" | ${curl} -T - -o /dev/null "$2"`
  const from = exportUrl(server, uuid, format)
  return timed('bash', ['-c', pipe, 'bash', from, to, `root:${rootPassword}`])
}

/** Uploads a file to a server that keeps it as it is; seconds. */
export const putAway = (url: string, path: string): Promise<number> =>
  timed('curl', ['-sSf', '-T', path, '-o', '/dev/null', url])

/** The uuids of all VDIs. */
export const listVdis = async (server: TestServer): Promise<string[]> => {
  const rpc = await login(server)
  const records = await rpc<Record<string, { uuid: string }>>('VDI.get_all_records')
  return Object.values(records).map(({ uuid }) => uuid)
}

/** Destroys all VDIs but those named. */
export const destroyVdisExcept = async (
  server: TestServer,
  kept: readonly string[],
): Promise<void> => {
  const rpc = await login(server)
  const records = await rpc<Record<string, { uuid: string }>>('VDI.get_all_records')
  for (const [ref, { uuid }] of Object.entries(records)) {
    if (!kept.includes(uuid)) await rpc('VDI.destroy', ref)
  }
}
