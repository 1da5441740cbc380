// Which VMs a command means: `uuid=`, `vm=` (a name or a uuid), or filters as those of vm-list.

import type { ApiRecord, CliClass } from '../cli-class.ts'
import { CliError } from '../cli-error.ts'
import { matchAll, parseFilter } from '../records.ts'
import { vmClasses } from '../vm-classes.ts'
import type { CommandContext } from './command.ts'
import { createAsk, findRecord } from './command.ts'

const vmClass: CliClass = vmClasses.find(({ name }) => name === 'vm')!

/** For the list of optional parameters. */
export const vmSelectors = ['vm', ...vmClass.fields.map(({ name }) => name)] as const

export interface FoundVm {
  readonly ref: string
  readonly record: ApiRecord
}

/**
 * @param ownParameters of the command, which select nothing; one with `:` at its end is a map
 * @throws CliError where none is found, or more than one without --multiple
 */
export const findVms = async (
  context: CommandContext,
  ownParameters: readonly string[],
): Promise<readonly FoundVm[]> => {
  const { params, api, client } = context
  const name = params.optional('vm')
  const selectors = params.all.filter(([param]) => param !== 'vm' && !isOwn(ownParameters, param))
  if (name === undefined && selectors.length === 0) {
    const expected = 'name the VM by uuid=, vm= or another field such as name-label='
    throw new CliError(`Error: No VM is named: ${expected}`)
  }
  const ask = createAsk(context)
  // Also beside a uuid: a parameter of the command that is mistyped must not be passed over.
  const filters = selectors.map((filter) => parseFilter(vmClass, filter, ask))
  if (params.optional('uuid') !== undefined) {
    const found = await findRecord(context, vmClass)
    if (await matchAll(filters, client.gone)(found.record)) return [found]
    throw new CliError('Error: No matching VMs found')
  }
  const usual = vmClass.filter.map((filter) => parseFilter(vmClass, filter, ask))
  const matches = matchAll([...usual, ...filters], client.gone)
  const records = (await api('VM.get_all_records')) as Readonly<Record<string, ApiRecord>>
  const found: FoundVm[] = []
  for (const [ref, record] of Object.entries(records)) {
    const isNamed = name === undefined || record['uuid'] === name || record['name_label'] === name
    if (isNamed && (await matches(record))) found.push({ ref, record })
  }
  if (found.length === 0) throw new CliError('Error: No matching VMs found')
  if (found.length > 1 && !params.flag('multiple')) {
    const hint = '--multiple required to complete the operation'
    throw new CliError(`Error: Multiple matches VMs found. ${hint}`)
  }
  return found
}

/** The same for commands that are for one VM. */
export const findVm = async (
  context: CommandContext,
  ownParameters: readonly string[],
): Promise<FoundVm> => {
  const found = await findVms(context, ownParameters)
  if (found.length === 1) return found[0]!
  const hint = 'Operation can only be performed on one VM at a time'
  throw new CliError(`Error: Multiple matches VMs found. ${hint}`)
}

const isOwn = (names: readonly string[], param: string): boolean =>
  names.some((name) =>
    name.endsWith(':')
      ? param.startsWith(name) || param.startsWith(`${name.slice(0, -1)}-`)
      : name === param,
  )
