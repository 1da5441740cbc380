// Destroys VMs with the disks that they own.

import type { ApiRecord } from '../cli-class.ts'
import { CliError } from '../cli-error.ts'
import type { CommandContext } from './command.ts'
import type { FoundVm } from './find-vms.ts'

/** Whoever makes a VM marks the VBDs of its own disks with it. */
const owner = 'owner'

/** @throws CliError that lists what would go, without --force */
export const destroyWithDisks = async (
  context: CommandContext,
  vms: readonly FoundVm[],
): Promise<void> => {
  const { params, print, api } = context
  const disks = await ownedDisks(context, vms)
  const items = [
    ...vms.map(({ record }) => itemOf('VM', record)),
    ...[...disks.values()].map((record) => itemOf('VDI', record)),
  ]
  if (!params.flag('force')) {
    const list = items.map((item) => `${item}\n`).join('')
    throw new CliError(
      `The following items would be destroyed\n${list}This is not undone by anything: use --force to do it`,
    )
  }
  print.lines(['The following items are about to be destroyed', ...items])
  for (const { ref } of vms) await api('VM.destroy', ref)
  for (const ref of disks.keys()) await api('VDI.destroy', ref)
  print.lines(['All objects destroyed'])
}

const itemOf = (kind: string, { uuid, name_label: name }: ApiRecord): string =>
  `${kind.padEnd(3)}: ${String(uuid)} (${String(name)})`

/** By reference, each once. */
const ownedDisks = async (
  { api }: CommandContext,
  vms: readonly FoundVm[],
): Promise<ReadonlyMap<string, ApiRecord>> => {
  const disks = new Map<string, ApiRecord>()
  for (const vbd of vms.flatMap(({ record }) => record['VBDs'] as string[])) {
    const { VDI, type, other_config: config } = (await api('VBD.get_record', vbd)) as ApiRecord
    const isOwned = type !== 'CD' && Object.hasOwn(config as object, owner)
    if (!isOwned || VDI === 'OpaqueRef:NULL' || disks.has(String(VDI))) continue
    disks.set(String(VDI), (await api('VDI.get_record', VDI)) as ApiRecord)
  }
  return disks
}
