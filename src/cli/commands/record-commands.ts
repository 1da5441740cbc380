// The commands that every class has: list, param-list, param-get and those that change fields.

import type { CliClass, CliField } from '../classes.ts'
import { CliError } from '../cli-error.ts'
import type { ApiRecord, NameLookup } from '../records.ts'
import {
  chooseFields,
  entriesOf,
  membersOf,
  parseFilter,
  printRecord,
  requireField,
  splitKey,
  valueOf,
} from '../records.ts'
import type { Command, CommandContext } from './command.ts'
import { refOf } from './command.ts'

export const recordCommands = (shown: CliClass): Command[] => {
  const isChangeable = shown.fields.some((field) => field.isWritable)
  return [listCommand(shown), ...readers(shown), ...(isChangeable ? writers(shown) : [])]
}

/** Asks for each name once in a command. */
const createNameLookup = ({ api }: CommandContext): NameLookup => {
  const known = new Map<string, Promise<string>>()
  return (className, ref) => {
    const name = known.get(ref) ?? api(`${className}.get_name_label`, ref).then(String)
    known.set(ref, name)
    return name
  }
}

const listCommand = (shown: CliClass): Command => ({
  name: `${shown.name}-list`,
  help: `Lists all the ${shown.name}s, filtering on the optional arguments. To filter on map parameters, use the syntax 'map-param:key=value'`,
  required: [],
  optional: ['params', ...shown.fields.map((field) => field.name)],
  isCommon: true,
  async run(context) {
    const { params, print, api } = context
    const nameOf = createNameLookup(context)
    const fields = chooseFields(shown, params.optional('params'))
    const asked = params.all.filter(([name]) => name !== 'params')
    const filters = [...shown.filter, ...asked].map((filter) => parseFilter(shown, filter, nameOf))
    const records = Object.values((await api(`${shown.apiName}.get_all_records`)) as object)
    const printed: Awaited<ReturnType<typeof printRecord>>[] = []
    for (const record of records as ApiRecord[]) {
      const matches = await Promise.all(filters.map((filter) => filter(record)))
      if (matches.every(Boolean)) printed.push(await printRecord(fields, record, nameOf))
    }
    print.records(printed)
  },
})

const readers = (shown: CliClass): Command[] => [
  {
    name: `${shown.name}-param-list`,
    help: 'Lists all the parameters of the object specified by the uuid.',
    required: ['uuid'],
    optional: [],
    async run(context) {
      const { record } = await findRecord(context, shown)
      context.print.records([await printRecord(shown.fields, record, createNameLookup(context))])
    },
  },
  {
    name: `${shown.name}-param-get`,
    help: "Gets the parameter specified of the object. If the parameter is a map of key=value pairs, use 'param-key=<key>' to get the value associated with a particular key.",
    required: ['uuid', 'param-name'],
    optional: ['param-key'],
    async run(context) {
      const { params, print } = context
      const { record } = await findRecord(context, shown)
      const field = requireField(shown, params.required('param-name'))
      const key = params.optional('param-key')
      if (key === undefined || field.kind !== 'map') {
        print.lines([await valueOf(field, record, createNameLookup(context))])
        return
      }
      const found = entriesOf(field, record).find(([name]) => name === key)
      if (found === undefined) throw new CliError(`Error: Key ${key} not found in map`)
      print.lines([found[1]])
    },
  },
]

const writers = (shown: CliClass): Command[] => {
  const settable = shown.fields.filter((field) => field.isWritable && field.kind !== 'set')
  return [
    {
      name: `${shown.name}-param-set`,
      help: "Sets the parameters specified. To set a (key, value) pair in a map parameter, use the syntax 'map-param:key=value'.",
      required: ['uuid'],
      optional: settable.map(({ name, kind }) => (kind === 'map' ? `${name}:` : name)),
      async run(context) {
        const { ref } = await findRecord(context, shown)
        const changes = context.params.all.filter(([name]) => name !== 'uuid')
        const steps = changes.map(([name, value]) => setter(context, shown, ref, name, value))
        for (const step of steps) await step()
      },
    },
    {
      name: `${shown.name}-param-add`,
      help: "Adds to a set or map parameter. If the parameter is a set, use param-key=<key to add>. If the parameter is a map, pass the values to add as 'key=value' pairs.",
      required: ['uuid', 'param-name'],
      optional: ['param-key'],
      run: (context) => addTo(context, shown),
    },
    {
      name: `${shown.name}-param-remove`,
      help: 'Removes a member or a key,value pair from a set/map respectively.',
      required: ['uuid', 'param-name', 'param-key'],
      optional: [],
      run: (context) => removeFrom(context, shown),
    },
  ]
}

const findRecord = async (
  context: CommandContext,
  { apiName }: CliClass,
): Promise<{ ref: string; record: ApiRecord }> => {
  const ref = await refOf(context, apiName, context.params.required('uuid'))
  return { ref, record: (await context.api(`${apiName}.get_record`, ref)) as ApiRecord }
}

/** Checks at once, changes when it is called: a mistake in the last parameter leaves the first undone. */
const setter = (
  context: CommandContext,
  shown: CliClass,
  ref: string,
  name: string,
  value: string,
): (() => Promise<void>) => {
  const { api } = context
  const [fieldName, key] = splitKey(name)
  const field = requireField(shown, fieldName)
  const { apiName } = shown
  if (!field.isWritable) throw new CliError(`Error: Field '${fieldName}' is read-only.`)
  if (field.kind === 'set') throw new CliError('Error: Cannot param-set on set fields')
  if (field.kind === 'map') {
    if (key === undefined) {
      const expected = "use the 'name:key=value' syntax."
      throw new CliError(`Error: Field '${fieldName}' is a map or set. ${expected}`)
    }
    return async () => {
      await api(`${apiName}.remove_from_${field.key}`, ref, key)
      await api(`${apiName}.add_to_${field.key}`, ref, key, value)
    }
  }
  if (key !== undefined) throw new CliError(`Error: Field '${fieldName}' is not a set or map`)
  return async () => {
    const isRef = field.kind === 'ref' && value !== ''
    const sent = isRef ? await refOf(context, field.className ?? '', value) : value
    await api(`${apiName}.set_${field.key}`, ref, sent)
  }
}

/** @throws CliError unless the field is a set or a map that may be changed */
const requireCollection = ({ params }: CommandContext, shown: CliClass): CliField => {
  const field = requireField(shown, params.required('param-name'))
  if (field.kind !== 'set' && field.kind !== 'map') {
    throw new CliError('Error: Can only add to or remove from parameters of type Set or Map')
  }
  if (!field.isWritable) throw new CliError('Error: Parameter is read-only')
  return field
}

const addTo = async (context: CommandContext, shown: CliClass): Promise<void> => {
  const { params, api } = context
  const field = requireCollection(context, shown)
  const { ref } = await findRecord(context, shown)
  if (field.kind === 'map') {
    const own = ['uuid', 'param-name', 'param-key']
    for (const [key, value] of params.all.filter(([name]) => !own.includes(name))) {
      await api(`${shown.apiName}.add_to_${field.key}`, ref, key, value)
    }
    return
  }
  await api(`${shown.apiName}.add_${field.key}`, ref, params.required('param-key'))
}

const removeFrom = async (context: CommandContext, shown: CliClass): Promise<void> => {
  const { params, api } = context
  const field = requireCollection(context, shown)
  const { ref, record } = await findRecord(context, shown)
  const key = params.required('param-key')
  if (field.kind === 'map') {
    if (!entriesOf(field, record).some(([found]) => found === key)) {
      throw new CliError(`Error: Key ${key} is not in map`)
    }
    await api(`${shown.apiName}.remove_from_${field.key}`, ref, key)
    return
  }
  if (!membersOf(field, record).includes(key)) {
    throw new CliError(`Error: Key ${key} is not in the set`)
  }
  await api(`${shown.apiName}.remove_${field.key}`, ref, key)
}
