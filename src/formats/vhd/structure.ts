// On-disk structures as tables of fields: one table reads and writes, so a fact of the layout is
// stated once. Big-endian.

import { readUint64, viewOf, writeUint64 } from '../../image/binary.ts'

export interface Field<T> {
  /** @param what names structure and field, for the message of a value that cannot be taken */
  read(view: DataView, what: string): T
  write(view: DataView, value: T): void
}

type FieldTable = Readonly<Record<string, Field<unknown>>>

/** The values of a structure, by the names of its fields. */
export type ValuesOf<T extends FieldTable> = {
  readonly [Name in keyof T]: T[Name] extends Field<infer Value> ? Value : never
}

export const uint8 = (at: number): Field<number> => ({
  read: (view) => view.getUint8(at),
  write: (view, value) => view.setUint8(at, value),
})

export const uint16 = (at: number): Field<number> => ({
  read: (view) => view.getUint16(at),
  write: (view, value) => view.setUint16(at, value),
})

export const uint32 = (at: number): Field<number> => ({
  read: (view) => view.getUint32(at),
  write: (view, value) => view.setUint32(at, value),
})

export const uint64 = (at: number): Field<number> => ({
  read: (view, what) => readUint64(view, at, what),
  write: (view, value) => writeUint64(view, at, value),
})

const allOnes = 0xffff_ffff_ffff_ffffn

/** An offset of 64 bits; all ones, which means that there is nothing, is undefined. */
export const offset64 = (at: number): Field<number | undefined> => ({
  read: (view, what) =>
    view.getBigUint64(at) === allOnes ? undefined : readUint64(view, at, what),
  write: (view, value) =>
    value === undefined ? view.setBigUint64(at, allOnes) : writeUint64(view, at, value),
})

/** `length` bytes, each of them a character. */
export const characters = (at: number, length: number): Field<string> => ({
  read: (view) => bufferOf(view).toString('latin1', at, at + length),
  write: (view, value) => {
    bufferOf(view).write(value, at, length, 'latin1')
  },
})

/** `length` bytes as they stand. */
export const opaque = (at: number, length: number): Field<Uint8Array> => ({
  read: (view) => new Uint8Array(bufferOf(view).subarray(at, at + length)),
  write: (view, value) => bufferOf(view).set(value.subarray(0, length), at),
})

/** 16 bytes as `6d3f2f4e-7c1b-4a57-9d0e-1f2a3b4c5d6e`, in the order of the text. */
export const uuid = (at: number): Field<string> => ({
  read: (view) =>
    bufferOf(view)
      .toString('hex', at, at + 16)
      .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
  write: (view, value) => {
    const written = bufferOf(view).write(value.replaceAll('-', ''), at, 16, 'hex')
    if (written !== 16) throw new TypeError(`"${value}" is not a UUID`)
  },
})

const bufferOf = (view: DataView): Buffer =>
  Buffer.from(view.buffer, view.byteOffset, view.byteLength)

export const readFields = <T extends FieldTable>(
  fields: T,
  bytes: Uint8Array,
  what: string,
): ValuesOf<T> => {
  const view = viewOf(bytes)
  const values = Object.entries(fields).map(([name, field]) => [
    name,
    field.read(view, `${what}: ${name}`),
  ])
  return Object.fromEntries(values) as ValuesOf<T>
}

/** `size` bytes with the values in their places and zeros elsewhere. */
export const writeFields = <T extends FieldTable>(
  fields: T,
  values: ValuesOf<T>,
  size: number,
): Uint8Array => {
  const bytes = new Uint8Array(size)
  const view = viewOf(bytes)
  for (const [name, field] of Object.entries(fields)) field.write(view, values[name])
  return bytes
}

/**
 * VHD, "Checksum": the ones' complement of the sum of all bytes, those of the checksum itself left
 * out.
 */
export const checksumWithout = (bytes: Uint8Array, checksumAt: number): number => {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 1) {
    if (at < checksumAt || at >= checksumAt + 4) sum += bytes[at]!
  }
  return ~sum >>> 0
}
