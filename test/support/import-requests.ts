// Uploads as a client on a bare socket writes them: heads, bodies in pieces, and images to send.

import { vhd } from '../../src/formats/vhd/vhd.ts'
import type { PlanOptions } from '../../src/formats/format.ts'
import { createPatternDisk, fillPattern, readAll } from './disks.ts'

/** What Orchestra announces when it does not know. */
export const petabyte = 'Content-Length: 1125899906842624\r\n'

export const put = (query: string, headers = '', version = '1.1'): string =>
  `PUT /import_raw_vdi?${query} HTTP/${version}\r\n${version === '1.1' ? 'Host: x\r\n' : ''}${headers}\r\n`

export const asChunks = 'Transfer-Encoding: chunked\r\n'

/** A body in chunks of HTTP, ended in order. */
export const inChunks = (bytes: Uint8Array): Buffer => {
  const end = Buffer.from('0\r\n\r\n')
  if (bytes.length === 0) return end
  const head = Buffer.from(`${bytes.length.toString(16)}\r\n`)
  return Buffer.concat([head, bytes, Buffer.from('\r\n'), end])
}

/** One chunk of XenServer's framing. */
export const chunk = (offset: number, bytes: Uint8Array): Buffer => {
  const header = Buffer.alloc(12)
  header.writeBigUInt64LE(BigInt(offset))
  header.writeUInt32LE(bytes.length, 8)
  return Buffer.concat([header, bytes])
}

/** The end of XenServer's framing. */
export const lastChunk = chunk(0, Buffer.alloc(0))

export const patternOf = (size: number, seed = 0): Buffer => {
  const bytes = Buffer.alloc(size)
  fillPattern(0, bytes, seed)
  return bytes
}

const identity = { uuid: '0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0', timestamp: new Date(1e12) }

/** A VHD of `size` bytes with the pattern in it. */
export const vhdOf = async (size: number, options?: PlanOptions): Promise<Buffer> => {
  const image = await vhd.plan(createPatternDisk([['data', size]]), identity, options)
  return Buffer.from(await readAll(image))
}
