// UUIDs as Windows and VirtualBox store them: the first three groups as little-endian numbers.

import { createHash } from 'node:crypto'

/** The numbers: each of so many bytes, from so far on. */
const groups = [
  [0, 4],
  [4, 2],
  [6, 2],
] as const

const swap = (bytes: Buffer): Buffer => {
  for (const [start, length] of groups) bytes.subarray(start, start + length).reverse()
  return bytes
}

const toText = (bytes: Buffer): string =>
  bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')

const bufferOf = (view: DataView, at: number): Buffer =>
  Buffer.from(view.buffer, view.byteOffset + at, 16)

/** The 16 bytes at `at` as `6d3f2f4e-7c1b-4a57-9d0e-1f2a3b4c5d6e`. */
export const readGuid = (view: DataView, at: number): string =>
  toText(swap(Buffer.from(bufferOf(view, at))))

export const writeGuid = (view: DataView, at: number, uuid: string): void => {
  swap(Buffer.from(uuid.replaceAll('-', ''), 'hex')).copy(bufferOf(view, at))
}

/** Always the same for the same texts: RFC 9562, "UUID Version 8". */
export const derivedGuid = (...texts: readonly string[]): string => {
  const bytes = createHash('sha256').update(texts.join('\n')).digest().subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return toText(bytes)
}
