// Fields of on-disk structures: 64-bit numbers become safe integers in one place, or are refused.

import { imageError } from '../errors.ts'

/** A DataView over exactly the bytes of `bytes`. */
export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/**
 * An unsigned 64-bit field as a number.
 * @param what names the structure and field for the message, for example `qcow2 header:
 *   l1_table_offset`
 * @throws AppError IMPORT_ERROR_GENERIC where it is above 2^53 - 1
 */
export const readUint64 = (
  view: DataView,
  at: number,
  what: string,
  littleEndian = false,
): number => toSafeInteger(view.getBigUint64(at, littleEndian), what)

/** A 64-bit value, for example one with its flag bits taken off, as a number; see readUint64. */
const toSafeInteger = (value: bigint, what: string): number => {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw imageError(what, `0x${value.toString(16)} is larger than 2^53 - 1`)
  }
  return Number(value)
}

export const writeUint64 = (view: DataView, at: number, value: number): void => {
  view.setBigUint64(at, BigInt(value))
}

/**
 * The two halves of an unsigned 64-bit field as a number, for tables of millions of entries, where
 * a bigint for each costs too much. Above 2^53 - 1 the result is rounded, and still above it:
 * compare it with a limit before it is used.
 */
export const joinUint32 = (high: number, low: number): number => high * 2 ** 32 + low

/** A number as it stands in messages about offsets: `0x9f0000`. */
export const hex = (value: number | bigint): string => `0x${value.toString(16)}`
