// The calls that every class has, made from its list of fields: records, getters and setters.

import { refToUuid, toRef } from '../refs.ts'
import type { Role, StringMap } from '../catalog/schema.ts'
import { AppError } from '../errors.ts'
import type { ApiClass, ClassField, FieldWrite, WriteTarget, XenRecord } from './class.ts'
import type { Call, SessionMethod } from './method.ts'
import { defineMethod, parameter } from './method.ts'
import { parseCondition } from './query.ts'
import { requireObject } from './wire/require-uuid.ts'
import type { ValueType, Wire } from './wire/values.ts'
import { forField, refTo, setOf, string, stringMap, voidType, wire } from './wire/values.ts'

export const genericMethods = (apiClass: ApiClass): SessionMethod[] => [
  ...readers(apiClass),
  ...apiClass.fields.map((field) => getter(apiClass, field)),
  ...apiClass.fields.flatMap((field) =>
    field.write === undefined ? [] : setters(apiClass, field, field.write),
  ),
]

const recordMap = (records: readonly XenRecord[]): Wire =>
  Object.fromEntries(records.map((record) => [toRef(record.uuid), record]))

const readers = (apiClass: ApiClass): SessionMethod[] => {
  const { name, fields } = apiClass
  const fieldNames = new Set(fields.map((field) => field.name))
  const self = parameter(refTo(name))
  const role = 'read-only'
  const getRecord = defineMethod({
    name: `${name}.get_record`,
    role,
    parameters: { self },
    result: wire(`${name} record`),
    run: ({ context }, { self }) => requireRecord(apiClass, context, self),
  })
  if (!apiClass.isListed) return [getRecord]
  const methods = [
    getRecord,
    defineMethod({
      name: `${name}.get_all`,
      role,
      isLarge: true,
      parameters: {},
      result: setOf(refTo(name)),
      run: async ({ context }) => (await apiClass.list(context)).map((record) => record.uuid),
    }),
    defineMethod({
      name: `${name}.get_all_records`,
      role,
      isLarge: true,
      parameters: {},
      result: wire(`(${name} ref → ${name} record) map`),
      run: async ({ context }) => recordMap(await apiClass.list(context)),
    }),
    defineMethod({
      name: `${name}.get_all_records_where`,
      role,
      isLarge: true,
      parameters: { expr: parameter(string) },
      result: wire(`(${name} ref → ${name} record) map`),
      async run({ context }, { expr }) {
        const matches = parseCondition(expr, fieldNames)
        return recordMap((await apiClass.list(context)).filter(matches))
      },
    }),
    defineMethod({
      name: `${name}.get_by_uuid`,
      role,
      parameters: { uuid: parameter(string) },
      result: refTo(name),
      async run({ context }, { uuid }) {
        const found = refToUuid(uuid)
        const record = found && (await apiClass.find(context, found))
        if (!record) throw new AppError('UUID_INVALID', [name, uuid.slice(0, 64)])
        return record.uuid
      },
    }),
  ]
  if (!fieldNames.has('name_label')) return methods
  const byName = defineMethod({
    name: `${name}.get_by_name_label`,
    role,
    isLarge: true,
    parameters: { label: parameter(string) },
    result: setOf(refTo(name)),
    async run({ context }, { label }) {
      const records = await apiClass.list(context)
      return records.filter((record) => record['name_label'] === label).map((record) => record.uuid)
    },
  })
  return [...methods, byName]
}

const requireRecord = async (
  apiClass: ApiClass,
  context: Call['context'],
  uuid: string,
): Promise<XenRecord> => requireObject(apiClass.name, uuid, await apiClass.find(context, uuid))

const getter = (apiClass: ApiClass, { name, type }: ClassField): SessionMethod =>
  defineMethod({
    name: `${apiClass.name}.get_${name}`,
    role: 'read-only',
    parameters: { self: parameter(refTo(apiClass.name)) },
    result: wire(type.name),
    run: async ({ context }, { self }) =>
      (await requireRecord(apiClass, context, self))[name] ?? '',
  })

const target = ({ context, identity }: Call, uuid: string): WriteTarget => ({
  context,
  identity,
  uuid,
})

const setters = (
  apiClass: ApiClass,
  { name: field, writeRole: role }: ClassField,
  write: FieldWrite,
): SessionMethod[] => {
  const define = <T>(
    name: string,
    type: ValueType<T>,
    run: (target: WriteTarget, value: T) => Promise<void>,
  ): SessionMethod =>
    defineMethod({
      name: `${apiClass.name}.${name}`,
      role,
      parameters: {
        self: parameter(refTo(apiClass.name)),
        value: parameter(forField(type, field)),
      },
      result: voidType,
      run: (call, { self, value }) => run(target(call, self), value),
    })
  if (write.kind === 'value') {
    return [define(`set_${field}`, write.type, (target, value) => write.set(target, value))]
  }
  if (write.kind === 'set') {
    return [
      define(`set_${field}`, setOf(string), (target, value) =>
        write.edit(target, () => [...new Set(value)]),
      ),
      define(`add_${field}`, string, (target, value) =>
        write.edit(target, (set) => [...new Set([...set, value])]),
      ),
      define(`remove_${field}`, string, (target, value) =>
        write.edit(target, (set) => set.filter((member) => member !== value)),
      ),
    ]
  }
  return [
    define(`set_${field}`, stringMap, (target, value) => write.edit(target, () => value)),
    addToMap(apiClass, { field, role }, write),
    define(`remove_from_${field}`, string, (target, key) =>
      write.edit(target, (map) => withoutKey(map, key)),
    ),
  ]
}

const addToMap = (
  apiClass: ApiClass,
  { field, role }: { readonly field: string; readonly role: Role },
  write: Extract<FieldWrite, { kind: 'map' }>,
): SessionMethod =>
  defineMethod({
    name: `${apiClass.name}.add_to_${field}`,
    role,
    parameters: {
      self: parameter(refTo(apiClass.name)),
      key: parameter(forField(string, field)),
      value: parameter(forField(string, field)),
    },
    result: voidType,
    run: (call, { self, key, value }) =>
      write.edit(target(call, self), (map) => {
        if (Object.hasOwn(map, key)) {
          throw new AppError('MAP_DUPLICATE_KEY', [apiClass.name, field, toRef(self), key])
        }
        return Object.fromEntries([...Object.entries(map), [key, value]])
      }),
  })

/** Without the key, which may be absent. */
const withoutKey = (map: StringMap, key: string): StringMap =>
  Object.fromEntries(Object.entries(map).filter(([name]) => name !== key))
