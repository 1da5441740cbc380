// What a class of XenAPI objects is here: a list of fields, each with its type, how it is read from
// a catalog row and, where clients may, how it is changed. Records, getters and setters all follow
// from it (generic-methods.ts). classes.ts lists them all.

import { createStepCounter } from '../disk/step-counter.ts'
import { AppError } from '../errors.ts'
import type { Role, StringMap } from '../catalog/schema.ts'
import type { ObjectContext } from './object-context.ts'
import type { Identity } from './authenticate.ts'
import type { ValueType, Wire, WireMap } from './wire/values.ts'

/** Rows that become records before others have their turn. */
const recordsPerPause = 128

/** All fields of one object, always the same keys. */
export interface XenRecord extends WireMap {
  readonly uuid: string
}

/** How clients change a field; `value` has been through `type`. */
export type FieldWriter<Stored, Changes> =
  | {
      readonly kind: 'value'
      readonly type: ValueType<unknown>
      change(value: unknown, stored: Stored): Changes
    }
  | {
      readonly kind: 'map'
      read(stored: Stored): StringMap
      change(value: StringMap, stored: Stored): Changes
    }
  | {
      readonly kind: 'set'
      read(stored: Stored): readonly string[]
      change(value: readonly string[]): Changes
    }

export interface ApiField<Row, Stored, Changes> {
  /** XenAPI's name, in snake case. */
  readonly name: string
  readonly type: ValueType<unknown>
  read(row: Row): Wire
  readonly writer?: FieldWriter<Stored, Changes>
  /** The lowest that may change it; default: the class's `writeRole`. */
  readonly writeRole?: Role
}

interface ClassDefinition<Row extends { readonly uuid: string }, Stored, Changes> {
  /** XenAPI's name: `VDI`, `pool`. */
  readonly name: string
  readonly fields: readonly ApiField<Row, Stored, Changes>[]

  /** The lowest role that may change fields that name none. */
  readonly writeRole: Role

  /** False: objects are found by reference only. Default true. */
  readonly isListed?: boolean

  find(context: ObjectContext, uuid: string): Promise<Row | undefined>
  list(context: ObjectContext): Promise<Row[]>

  /** Of all objects, where that costs less than the list. */
  uuids?(context: ObjectContext): Promise<string[]>

  /**
   * Changes the stored row in one step.
   * @throws AppError HANDLE_INVALID; RBAC_PERMISSION_DENIED where objects have owners
   */
  update(
    context: ObjectContext,
    uuid: string,
    change: (stored: Stored) => Changes,
    identity: Identity,
  ): Promise<void>
}

/** A class with its row types hidden. */
export interface ApiClass {
  readonly name: string
  readonly fields: readonly ClassField[]
  readonly isListed: boolean
  find(context: ObjectContext, uuid: string): Promise<XenRecord | undefined>

  /** In the order the objects were made. */
  list(context: ObjectContext): Promise<XenRecord[]>

  /** Of all objects, in no order. */
  uuids(context: ObjectContext): Promise<string[]>
}

export interface ClassField {
  readonly name: string
  readonly type: ValueType<unknown>
  readonly write?: FieldWrite
  /** The lowest that may change it. */
  readonly writeRole: Role
}

/** One step that reads and writes the field of one object. */
export type FieldWrite =
  | {
      readonly kind: 'value'
      readonly type: ValueType<unknown>
      set(target: WriteTarget, value: unknown): Promise<void>
    }
  | {
      readonly kind: 'map'
      edit(target: WriteTarget, edit: (value: StringMap) => StringMap): Promise<void>
    }
  | {
      readonly kind: 'set'
      edit(
        target: WriteTarget,
        edit: (value: readonly string[]) => readonly string[],
      ): Promise<void>
    }

export interface WriteTarget {
  readonly context: ObjectContext
  readonly uuid: string
  readonly identity: Identity
}

export const defineClass = <Row extends { readonly uuid: string }, Stored, Changes>(
  definition: ClassDefinition<Row, Stored, Changes>,
): ApiClass => {
  const { name, fields, writeRole, isListed = true } = definition
  const toRecord = (row: Row): XenRecord => ({
    ...Object.fromEntries(fields.map((field) => [field.name, field.read(row)] as const)),
    uuid: row.uuid,
  })
  return {
    name,
    isListed,
    fields: fields.map(({ name, type, writer, writeRole: ownRole = writeRole }) => ({
      name,
      type,
      writeRole: ownRole,
      ...(writer && { write: toFieldWrite(definition, writer) }),
    })),
    async find(context, uuid) {
      const row = await definition.find(context, uuid)
      return row && toRecord(row)
    },
    async list(context) {
      const records: XenRecord[] = []
      const step = createStepCounter(recordsPerPause)
      for (const row of await definition.list(context)) {
        records.push(toRecord(row))
        const pause = step()
        if (pause !== undefined) await pause
      }
      return records
    },
    uuids: async (context) =>
      (await definition.uuids?.(context)) ??
      (await definition.list(context)).map(({ uuid }) => uuid),
  }
}

/** A class whose fields clients cannot change. */
export const defineReadOnlyClass = <Row extends { readonly uuid: string }>(
  definition: Omit<ClassDefinition<Row, Row, never>, 'writeRole' | 'update'>,
): ApiClass =>
  defineClass<Row, Row, never>({
    ...definition,
    writeRole: 'pool-admin',
    async update() {
      throw new AppError('NOT_IMPLEMENTED', [`${definition.name}.set`])
    },
  })

const toFieldWrite = <Row extends { readonly uuid: string }, Stored, Changes>(
  definition: ClassDefinition<Row, Stored, Changes>,
  writer: FieldWriter<Stored, Changes>,
): FieldWrite => {
  const update = ({ context, uuid, identity }: WriteTarget, change: (stored: Stored) => Changes) =>
    definition.update(context, uuid, change, identity)
  if (writer.kind === 'value') {
    return {
      kind: 'value',
      type: writer.type,
      set: (target, value) => update(target, (stored) => writer.change(value, stored)),
    }
  }
  if (writer.kind === 'map') {
    return {
      kind: 'map',
      edit: (target, edit) =>
        update(target, (stored) => writer.change(edit(writer.read(stored)), stored)),
    }
  }
  return {
    kind: 'set',
    edit: (target, edit) => update(target, (stored) => writer.change(edit(writer.read(stored)))),
  }
}
