// The words in which a class writes its list of fields.

import type { StringMap } from '../catalog/schema.ts'
import type { ApiField, FieldWriter } from './class.ts'
import type { ValueType } from './wire/values.ts'
import { setOf, string, stringMap } from './wire/values.ts'

/** The words for one row type; `Stored` is what the catalog keeps of it. */
export const fieldsFor = <Row extends Stored, Stored, Changes>() => ({
  /** A field that is read from the row, and changed with `change` where that is given. */
  field: <T>(
    name: string,
    type: ValueType<T>,
    read: (row: Row) => T,
    change?: (value: T, stored: Stored) => Changes,
  ): ApiField<Row, Stored, Changes> => ({
    name,
    type,
    read: (row) => type.toWire(read(row)),
    ...(change && { writer: valueWriter(type, change) }),
  }),

  /**
   * A field that is the same for all objects: a feature of XenServer that diskport does not have.
   */
  constant: <T>(name: string, type: ValueType<T>, value: T): ApiField<Row, Stored, Changes> => ({
    name,
    type,
    read: () => type.toWire(value),
  }),

  /** A `(string → string) map` of the catalog that clients own. */
  map: (
    name: string,
    read: (stored: Stored) => StringMap,
    change: (value: StringMap, stored: Stored) => Changes,
  ): ApiField<Row, Stored, Changes> => ({
    name,
    type: stringMap,
    read: (row) => stringMap.toWire(read(row)),
    writer: { kind: 'map', read, change },
  }),

  /** A `string set` of the catalog that clients own. */
  set: (
    name: string,
    read: (stored: Stored) => readonly string[],
    change: (value: readonly string[]) => Changes,
  ): ApiField<Row, Stored, Changes> => ({
    name,
    type: setOf(string),
    read: (row) => setOf(string).toWire(read(row)),
    writer: { kind: 'set', read, change },
  }),
})

const valueWriter = <T, Stored, Changes>(
  type: ValueType<T>,
  change: (value: T, stored: Stored) => Changes,
): FieldWriter<Stored, Changes> => ({
  kind: 'value',
  type,
  // The value comes from `type`, so it is a T.
  change: (value, stored) => change(value as T, stored),
})
