// VMs, snapshots and templates that go with the disks that they own. What will be destroyed is
// shown first, and the user is asked.

import { toAppError } from '../../errors.ts'
import { CliError } from '../cli-error.ts'
import type { ApiRecord } from '../cli-class.ts'
import type { CommandContext } from './command.ts'

/** The key in the other-config of a VBD whose VDI goes with the VM. */
const ownerKey = 'owner'

interface Doomed {
  readonly className: 'VM' | 'VDI'
  readonly ref: string
  /** Itself, or the VM whose disk it is. */
  readonly vm: string
  readonly shown: string
}

const recordOf = async (
  { api }: CommandContext,
  className: string,
  ref: string,
): Promise<ApiRecord> => (await api(`${className}.get_record`, ref)) as ApiRecord

const namesIn = (record: ApiRecord): string =>
  `${String(record['uuid'])} (${String(record['name_label'])})`

/** The VM, then the disks that it owns. */
const doomedBy = async (context: CommandContext, ref: string): Promise<Doomed[]> => {
  const vm = await recordOf(context, 'VM', ref)
  const doomed: Doomed[] = [{ className: 'VM', ref, vm: ref, shown: `VM : ${namesIn(vm)}` }]
  for (const vbdRef of vm['VBDs'] as readonly string[]) {
    const vbd = await recordOf(context, 'VBD', vbdRef)
    const isOwner = Object.hasOwn(vbd['other_config'] as object, ownerKey)
    if (!isOwner || vbd['empty'] === true) continue
    const vdiRef = String(vbd['VDI'])
    const vdi = await recordOf(context, 'VDI', vdiRef)
    const isShared = (vdi['VBDs'] as readonly string[]).length > 1
    const warning = isShared ? ' ** WARNING: disk is shared by other VMs' : ''
    const shown = `VDI: ${namesIn(vdi)} ${warning}`
    doomed.push({ className: 'VDI', ref: vdiRef, vm: ref, shown })
  }
  return doomed
}

/**
 * Destroys what it can; the disks of a VM that stays are kept.
 * @throws CliError with all that was not destroyed
 */
const destroyAll = async ({ api }: CommandContext, doomed: readonly Doomed[]): Promise<void> => {
  const failures: string[] = []
  const destroy = async ({ className, ref, shown }: Doomed): Promise<boolean> => {
    try {
      await api(`${className}.destroy`, ref)
      return true
    } catch (error) {
      failures.push(`${shown.trim()}: ${toAppError(error).message}`)
      return false
    }
  }
  const kept = new Set<string>()
  for (const object of doomed.filter(({ className }) => className === 'VM')) {
    if (await destroy(object)) continue
    for (const { vm, ref } of doomed) if (vm === object.ref) kept.add(ref)
  }
  const disks = doomed.filter(({ className, ref }) => className === 'VDI' && !kept.has(ref))
  // One that two VMs own goes once.
  for (const disk of new Map(disks.map((disk) => [disk.ref, disk])).values()) await destroy(disk)
  if (failures.length === 0) return
  throw new CliError(['Error: Some objects were not destroyed:', ...failures].join('\n'))
}

/** Whether the user has typed it. */
const saysYes = async ({ client, readLine }: CommandContext): Promise<boolean> => {
  client.send({ kind: 'print', text: "Type 'yes' to continue" })
  const line = await readLine()
  if (line.trim().toLowerCase() === 'yes') return true
  client.send({ kind: 'print', text: `Aborted (you typed: '${line}')` })
  return false
}

/** @param vms references, each once */
export const uninstall = async (context: CommandContext, vms: readonly string[]): Promise<void> => {
  const { client, params } = context
  const tell = (text: string) => client.send({ kind: 'print', text })
  const doomed: Doomed[] = []
  for (const vm of vms) doomed.push(...(await doomedBy(context, vm)))
  tell('The following items are about to be destroyed')
  for (const { shown } of doomed) tell(shown)
  if (!params.flag('force') && !(await saysYes(context))) return
  await destroyAll(context, doomed)
  tell('All objects destroyed')
}
