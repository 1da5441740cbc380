// VMs come and go, and are copied: what is done with them beside their devices and moves.

import { NULL_REF, toRef } from '../../refs.ts'
import type { ApiRecord } from '../cli-class.ts'
import { CliError } from '../cli-error.ts'
import { runBehindTask } from '../watch-task.ts'
import type { Command, CommandContext } from './command.ts'
import { refOf, uuidIn } from './command.ts'
import type { FoundVm } from './find-vms.ts'
import { findVm, findVms, vmSelectors } from './find-vms.ts'
import { uninstall } from './uninstall.ts'

const asking = 'Shows what will be destroyed and asks, unless --force is given.'

const named = ['new-name-label', 'new-name-description'] as const

/**
 * A command that makes a VM out of one that is there.
 * @param find what it is for; default: one VM, or several with --multiple
 */
const deriving = (
  name: string,
  help: string,
  more: readonly string[],
  derive: (context: CommandContext, vm: FoundVm, label: string) => Promise<unknown>,
  find: typeof findVms = findVms,
): Command => ({
  name,
  help,
  required: ['new-name-label'],
  optional: ['new-name-description', ...more, ...vmSelectors],
  checksNames: true,
  async run(context) {
    const { params, print, api } = context
    const label = params.required('new-name-label')
    const description = params.optional('new-name-description')
    for (const vm of await find(context, [...named, ...more])) {
      const made = toRef(uuidIn(await derive(context, vm, label)))
      // Printed even where the description is refused: the VM is there.
      print.lines([uuidIn(made)])
      if (description !== undefined) await api('VM.set_name_description', made, description)
    }
  },
})

const clone = (context: CommandContext, { ref }: FoundVm, label: string): Promise<unknown> =>
  context.api('VM.clone', ref, label)

const copy = async (context: CommandContext, { ref }: FoundVm, label: string): Promise<unknown> => {
  const sr = context.params.optional('sr-uuid')
  const srRef = sr === undefined ? NULL_REF : await refOf(context, 'SR', sr)
  return runBehindTask(context, 'VM.copy', ref, label, srRef)
}

/** The snapshot that `snapshot-uuid=` or `uuid=` names. */
const snapshotOf = async (context: CommandContext): Promise<FoundVm> => {
  const { params, api } = context
  const uuid = params.optional('snapshot-uuid') ?? params.required('uuid')
  const ref = await refOf(context, 'VM', uuid)
  const record = (await api('VM.get_record', ref)) as ApiRecord
  if (record['is_a_snapshot'] === true) return { ref, record }
  throw new CliError(`Error: The VM ${uuid} is not a snapshot`)
}

const ofSnapshot = (
  name: string,
  help: string,
  run: (context: CommandContext, snapshot: FoundVm) => Promise<void>,
): Command => ({
  name,
  help,
  required: [],
  optional: ['snapshot-uuid', 'uuid'],
  run: async (context) => run(context, await snapshotOf(context)),
})

const destroy = (context: CommandContext, { ref }: FoundVm): Promise<unknown> =>
  context.api('VM.destroy', ref)

/** Fields of a new VM that are a text or a number. */
const settings = [
  'name-description',
  'user-version',
  'memory-static-max',
  'memory-static-min',
  'memory-dynamic-max',
  'memory-dynamic-min',
  'VCPUs-max',
  'VCPUs-at-startup',
  'actions-after-shutdown',
  'actions-after-reboot',
  'actions-after-crash',
  'PV-bootloader',
  'PV-kernel',
  'PV-ramdisk',
  'PV-args',
  'PV-bootloader-args',
  'HVM-boot-policy',
  'domain-type',
] as const
const sizes: readonly string[] = settings.filter((name) => name.startsWith('memory-'))
const maps = ['HVM-boot-params', 'platform', 'other-config', 'xenstore-data', 'NVRAM'] as const

export const vmCommands: readonly Command[] = [
  {
    name: 'vm-create',
    help: 'Makes the record of a VM without disks; vm-disk-add and vbd-create give it some. No VM runs here.',
    required: ['name-label'],
    optional: [...settings, 'is-a-template', 'tags', ...maps.map((name) => `${name}:`)],
    async run({ params, print, api }) {
      const given = settings.flatMap((name) => {
        const text = params.optional(name)
        if (text === undefined) return []
        const value = sizes.includes(name) ? String(params.size(name)) : text
        return [[name.replaceAll('-', '_'), value] as const]
      })
      const ref = await api('VM.create', {
        ...Object.fromEntries(given),
        ...Object.fromEntries(
          maps.map((name) => [name.replaceAll('-', '_'), params.map(name)] as const),
        ),
        name_label: params.required('name-label'),
        is_a_template: params.flag('is-a-template'),
        tags: params.optional('tags')?.split(',') ?? [],
      })
      print.lines([uuidIn(ref)])
    },
  },
  {
    name: 'vm-destroy',
    help: 'Destroys the record of a VM. Its disks stay; vm-uninstall destroys them, too.',
    required: ['uuid'],
    optional: [],
    async run(context) {
      await destroy(context, await findVm(context, []))
    },
  },
  {
    name: 'vm-uninstall',
    help: `Destroys a VM, its snapshots and the disks that they own: those of VBDs with other-config:owner. ${asking}`,
    required: [],
    optional: [...vmSelectors],
    checksNames: true,
    async run(context) {
      const vms = await findVms(context, [])
      const snapshots = vms.flatMap(({ record }) => record['snapshots'] as readonly string[])
      await uninstall(context, [...vms.map(({ ref }) => ref), ...snapshots])
    },
  },
  {
    name: 'template-uninstall',
    help: `Destroys a template and the disks that it owns. ${asking}`,
    required: ['template-uuid'],
    optional: [],
    async run(context) {
      const uuid = context.params.required('template-uuid')
      const ref = await refOf(context, 'VM', uuid)
      if ((await context.api('VM.get_is_a_template', ref)) !== true) {
        throw new CliError(`Error: The VM ${uuid} is not a template`)
      }
      await uninstall(context, [ref])
    },
  },
  deriving(
    'vm-clone',
    'Makes a VM whose disks begin with the content of those of another. Costs no space.',
    [],
    clone,
  ),
  deriving(
    'vm-copy',
    'Makes a VM with full copies of the disks of another, in a storage repository (sr-uuid) or where each disk lies.',
    ['sr-uuid', 'progress'],
    copy,
    async (...asked) => [await findVm(...asked)],
  ),
  deriving(
    'vm-snapshot',
    'Makes a snapshot of a VM: all its disks at one point in time.',
    [],
    (context, { ref }, label) => context.api('VM.snapshot', ref, label),
  ),
  ofSnapshot(
    'snapshot-revert',
    'Makes a VM what it was when a snapshot was taken. What its disks have shown since is lost.',
    async ({ api }, { ref }) => void (await api('VM.revert', ref)),
  ),
  ofSnapshot(
    'snapshot-destroy',
    'Destroys the record of a snapshot. The snapshots of the disks stay.',
    async (context, snapshot) => void (await destroy(context, snapshot)),
  ),
  ofSnapshot(
    'snapshot-uninstall',
    `Destroys a snapshot and the snapshots of its disks. ${asking}`,
    (context, { ref }) => uninstall(context, [ref]),
  ),
]
