// The commands that every class has and that change fields: param-set, param-add, param-remove and
// param-clear.

import type { CliClass, CliField } from '../cli-class.ts'
import { CliError } from '../cli-error.ts'
import { requireOnce } from '../command-line.ts'
import { entriesOf, membersOf, requireField, resolveName } from '../records.ts'
import type { Command, CommandContext } from './command.ts'
import { findRecord, refOf } from './command.ts'

const isCollection = ({ kind }: CliField): boolean => kind === 'set' || kind === 'map'

/** None for a class that cannot be changed. */
export const changeCommands = (shown: CliClass): Command[] => {
  const writable = shown.fields.filter((field) => field.isWritable)
  const settable = writable.filter(({ kind }) => kind !== 'set')
  const isAddable = writable.some(isCollection)
  return [
    ...(settable.length > 0 ? [setCommand(shown, settable)] : []),
    ...(isAddable ? [addCommand(shown), removeCommand(shown)] : []),
    ...(writable.length > 0 ? [clearCommand(shown, writable)] : []),
  ]
}

const setCommand = (shown: CliClass, settable: readonly CliField[]): Command => ({
  name: `${shown.name}-param-set`,
  help: "Sets the parameters specified. To set a (key, value) pair in a map parameter, use the syntax 'map-param:key=value'.",
  required: ['uuid'],
  optional: settable.map(({ name, kind }) => (kind === 'map' ? `${name}:` : name)),
  checksNames: true,
  async run(context) {
    const { ref } = await findRecord(context, shown)
    const changes = context.params.all.filter(([name]) => name !== 'uuid')
    // By what they name: a key of a map has two forms.
    requireOnce(changes.map(([name]) => targetOf(shown, name)))
    const steps = changes.map(([name, value]) => setter(context, shown, ref, name, value))
    for (const step of steps) await step()
  },
})

const targetOf = (shown: CliClass, name: string): string => {
  const { field, key } = resolveName(shown, name)
  return key === undefined ? field.name : `${field.name}:${key}`
}

/**
 * Checks at once, changes when it is called: a mistake in the last parameter leaves the first
 * undone.
 */
const setter = (
  context: CommandContext,
  shown: CliClass,
  ref: string,
  name: string,
  value: string,
): (() => Promise<void>) => {
  const { api } = context
  const { apiName } = shown
  const { field, key } = resolveName(shown, name)
  if (!field.isWritable) throw new CliError(`Error: Field '${field.name}' is read-only.`)
  if (field.kind === 'set') throw new CliError('Error: Cannot param-set on set fields')
  if (field.kind === 'map') {
    if (key === undefined) {
      const expected = "use the 'name:key=value' syntax."
      throw new CliError(`Error: Field '${field.name}' is a map or set. ${expected}`)
    }
    return async () => {
      await api(`${apiName}.remove_from_${field.key}`, ref, key)
      await api(`${apiName}.add_to_${field.key}`, ref, key, value)
    }
  }
  const sent = field.isSize === true ? String(context.params.size(name)) : value
  return () => setValue(context, apiName, ref, field, sent)
}

const setValue = async (
  context: CommandContext,
  apiName: string,
  ref: string,
  { kind, className, key }: CliField,
  value: string,
): Promise<void> => {
  const isRef = kind === 'ref' && value !== ''
  const sent = isRef ? await refOf(context, className ?? '', value) : value
  await context.api(`${apiName}.set_${key}`, ref, sent)
}

const addCommand = (shown: CliClass): Command => ({
  name: `${shown.name}-param-add`,
  help: "Adds to a set or map parameter. If the parameter is a set, use param-key=<key to add>. If the parameter is a map, pass the values to add as 'key=value' pairs.",
  required: ['uuid', 'param-name'],
  optional: ['param-key'],
  checksNames: true,
  async run(context) {
    const { params, api } = context
    const field = requireCollection(context, shown, 'add to')
    const own = ['uuid', 'param-name', 'param-key']
    const pairs = params.all.filter(([name]) => !own.includes(name))
    requireOnce(pairs.map(([name]) => name))
    const key = params.optional('param-key')
    if (field.kind === 'map' ? pairs.length === 0 || key !== undefined : key === undefined) {
      throw new CliError(`Error: ${howToAdd(field)}`)
    }
    if (field.kind === 'set' && pairs.length > 0) throw new CliError(`Error: ${howToAdd(field)}`)
    const { ref } = await findRecord(context, shown)
    if (field.kind === 'set') await api(`${shown.apiName}.add_${field.key}`, ref, key)
    for (const [name, value] of pairs) {
      await api(`${shown.apiName}.add_to_${field.key}`, ref, name, value)
    }
  },
})

const howToAdd = ({ kind }: CliField): string =>
  kind === 'set'
    ? 'When adding a key to a set, use the syntax: *-param-add param-name=<name> param-key=<key>'
    : 'When adding to a map, use the syntax: *-param-add param-name=<name> <key>=<value>'

const removeCommand = (shown: CliClass): Command => ({
  name: `${shown.name}-param-remove`,
  help: 'Removes a member or a key,value pair from a set/map respectively.',
  required: ['uuid', 'param-name', 'param-key'],
  optional: [],
  async run(context) {
    const { params, api } = context
    const field = requireCollection(context, shown, 'remove from')
    const { ref, record } = await findRecord(context, shown)
    const key = params.required('param-key')
    const isMap = field.kind === 'map'
    const there = isMap ? entriesOf(field, record).map(([name]) => name) : membersOf(field, record)
    if (!there.includes(key)) {
      throw new CliError(`Error: Key ${key} is not in ${isMap ? 'map' : 'the set'}`)
    }
    await api(`${shown.apiName}.remove_${isMap ? 'from_' : ''}${field.key}`, ref, key)
  },
})

/** @throws CliError unless the field is a set or a map that may be changed */
const requireCollection = (
  { params }: CommandContext,
  shown: CliClass,
  doing: string,
): CliField => {
  const field = requireField(shown, params.required('param-name'))
  if (!isCollection(field)) {
    throw new CliError(`Error: Can only ${doing} parameters of type Set or Map`)
  }
  if (!field.isWritable) throw new CliError('Error: Parameter is read-only')
  return field
}

const clearCommand = (shown: CliClass, writable: readonly CliField[]): Command => ({
  name: `${shown.name}-param-clear`,
  help: `Clears the specified parameter (param-name can be ${writable.map(({ name }) => name).join(',')}).`,
  required: ['uuid', 'param-name'],
  optional: [],
  async run(context) {
    const { params, api } = context
    const field = requireField(shown, params.required('param-name'))
    if (!field.isWritable) throw new CliError('Error: Can only clear RW parameters')
    const { ref } = await findRecord(context, shown)
    if (!isCollection(field)) {
      await setValue(context, shown.apiName, ref, field, '')
      return
    }
    await api(`${shown.apiName}.set_${field.key}`, ref, field.kind === 'map' ? {} : [])
  },
})
