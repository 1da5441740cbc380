// The fields of a QCOW2 header: one table, used to read and to write. Checks nothing but that
// 64-bit numbers are safe; header.ts knows what the values mean.

import { readUint64, viewOf, writeUint64 } from '../../../image/binary.ts'
import { HEADER_LENGTH } from '../constants.ts'

type FieldType = 'u8' | 'u32' | 'u64' | 'mask'

/** Offset in the header and type of each field, in the specification's order. Big-endian. */
const fields = {
  magic: [0, 'u32'],
  version: [4, 'u32'],
  backing_file_offset: [8, 'u64'],
  backing_file_size: [16, 'u32'],
  cluster_bits: [20, 'u32'],
  size: [24, 'u64'],
  crypt_method: [32, 'u32'],
  l1_size: [36, 'u32'],
  l1_table_offset: [40, 'u64'],
  refcount_table_offset: [48, 'u64'],
  refcount_table_clusters: [56, 'u32'],
  nb_snapshots: [60, 'u32'],
  snapshots_offset: [64, 'u64'],
  incompatible_features: [72, 'mask'],
  compatible_features: [80, 'mask'],
  autoclear_features: [88, 'mask'],
  refcount_order: [96, 'u32'],
  header_length: [100, 'u32'],
  compression_type: [104, 'u8'],
} as const satisfies Record<string, readonly [offset: number, type: FieldType]>

type FieldName = keyof typeof fields

/** Feature masks are bigint, all else is a number. */
export type HeaderFields = {
  [Name in FieldName]: (typeof fields)[Name][1] extends 'mask' ? bigint : number
}

const fieldNames = Object.keys(fields) as FieldName[]

/** What a version 2 header, or a version 3 header without a compression type, leaves out. */
const absentFields = {
  incompatible_features: 0n,
  compatible_features: 0n,
  autoclear_features: 0n,
  refcount_order: 4,
  header_length: HEADER_LENGTH.version2,
  compression_type: 0,
} as const

/**
 * The fields within the first `length` bytes of `bytes`; for those after it, what their absence
 * means.
 * @throws AppError IMPORT_ERROR_GENERIC naming a 64-bit field above 2^53 - 1
 */
export const readHeaderFields = (bytes: Uint8Array, length: number, what: string): HeaderFields => {
  const view = viewOf(bytes)
  const values: Record<string, number | bigint> = { ...absentFields }
  for (const name of fieldNames) {
    const [at, type] = fields[name]
    if (at < length) values[name] = readField(view, at, type, `${what}: ${name}`)
  }
  return values as HeaderFields
}

const readField = (view: DataView, at: number, type: FieldType, what: string): number | bigint => {
  if (type === 'mask') return view.getBigUint64(at)
  if (type === 'u64') return readUint64(view, at, what)
  return type === 'u32' ? view.getUint32(at) : view.getUint8(at)
}

/** Writes all fields, those not given as 0, into the first bytes of `target`. */
export const writeHeaderFields = (target: Uint8Array, values: Partial<HeaderFields>): void => {
  const view = viewOf(target)
  for (const name of fieldNames) {
    const [at, type] = fields[name]
    const value = values[name] ?? 0
    if (type === 'mask') view.setBigUint64(at, BigInt(value))
    else if (type === 'u64') writeUint64(view, at, Number(value))
    else if (type === 'u32') view.setUint32(at, Number(value))
    else view.setUint8(at, Number(value))
  }
}
