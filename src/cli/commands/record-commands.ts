// The commands that every class has and that read: list, param-list and param-get.
// change-commands.ts has those that change fields.

import type { CliClass } from '../cli-class.ts'
import { CliError } from '../cli-error.ts'
import type { ApiRecord } from '../cli-class.ts'
import {
  chooseFields,
  entriesOf,
  matchAll,
  parseFilter,
  printRecord,
  requireField,
  valueOf,
} from '../records.ts'
import { changeCommands } from './change-commands.ts'
import type { Command } from './command.ts'
import { createAsk, findRecord } from './command.ts'

export const recordCommands = (shown: CliClass): Command[] => [
  listCommand(shown),
  ...readers(shown),
  ...changeCommands(shown),
]

const listCommand = (shown: CliClass): Command => ({
  name: `${shown.name}-list`,
  help: `Lists all the ${shown.name}s, filtering on the optional arguments. To filter on map parameters, use the syntax 'map-param:key=value'`,
  required: [],
  optional: ['params', ...shown.fields.map((field) => field.name)],
  isCommon: true,
  checksNames: true,
  async run(context) {
    const { params, print, api, client } = context
    const ask = createAsk(context)
    const fields = chooseFields(shown, params.optional('params'))
    const asked = params.all.filter(([name]) => name !== 'params')
    const usual = params.flag('all') ? [] : shown.filter
    const filters = [...usual, ...asked].map((filter) => parseFilter(shown, filter, ask))
    const records = Object.values((await api(`${shown.apiName}.get_all_records`)) as object)
    const printed: Awaited<ReturnType<typeof printRecord>>[] = []
    const matches = matchAll(filters, client.gone)
    for (const record of records as ApiRecord[]) {
      if (await matches(record)) printed.push(await printRecord(fields, record, ask))
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
      context.print.records([await printRecord(shown.fields, record, createAsk(context))])
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
      if (key === undefined) {
        print.lines([await valueOf(field, record, createAsk(context))])
        return
      }
      if (field.kind !== 'map') throw new CliError(`Error: Field '${field.name}' is not a map`)
      const found = entriesOf(field, record).find(([name]) => name === key)
      if (found === undefined) throw new CliError(`Error: Key ${key} not found in map`)
      print.lines([found[1]])
    },
  },
]
