// The disks and interfaces of VMs.

import { NULL_REF } from '../../refs.ts'
import type { ApiRecord, CliClass } from '../cli-class.ts'
import { cliClasses } from '../classes.ts'
import { CliError } from '../cli-error.ts'
import type { Params } from '../command-line.ts'
import { chooseFields, printRecord } from '../records.ts'
import type { Command, CommandContext } from './command.ts'
import { createAsk, refOf, uuidIn } from './command.ts'
import type { FoundVm } from './find-vms.ts'
import { findVm, findVms, vmSelectors } from './find-vms.ts'

const classNamed = (wanted: string): CliClass => cliClasses.find(({ name }) => name === wanted)!

const vbdClass = classNamed('vbd')
const vdiClass = classNamed('vdi')

interface Disk {
  readonly vbd: ApiRecord
  readonly vbdRef: string
  readonly vdiRef: string
}

/** In the order of their positions; CD drives are no disks. */
const disksOf = async ({ api }: CommandContext, { record }: FoundVm): Promise<Disk[]> => {
  const disks: Disk[] = []
  for (const vbdRef of record['VBDs'] as string[]) {
    const vbd = (await api('VBD.get_record', vbdRef)) as ApiRecord
    if (vbd['type'] !== 'CD' && vbd['VDI'] !== NULL_REF) {
      disks.push({ vbd, vbdRef, vdiRef: String(vbd['VDI']) })
    }
  }
  return disks
}

const destroying = (name: string, apiName: string, help: string): Command => ({
  name,
  help,
  required: ['uuid'],
  optional: [],
  async run(context) {
    await context.api(
      `${apiName}.destroy`,
      await refOf(context, apiName, context.params.required('uuid')),
    )
  },
})

const shownParams = { vbd: 'vbd-params', vdi: 'vdi-params' } as const
const diskListParams = ['vbd-params', 'vdi-params'] as const

const defaults = {
  vbd: 'uuid,vm-name-label,userdevice',
  vdi: 'uuid,name-label,sr-name-label,virtual-size',
} as const

export const vmDeviceCommands: readonly Command[] = [
  {
    name: 'vm-disk-list',
    help: 'Shows the disks of VMs: for each its VBD and its VDI.',
    required: [],
    optional: [...diskListParams, ...vmSelectors],
    checksNames: true,
    async run(context) {
      const { params, print, api } = context
      const ask = createAsk(context)
      const fieldsOf = (shown: CliClass, kind: 'vbd' | 'vdi') =>
        chooseFields(shown, params.optional(shownParams[kind]) ?? defaults[kind])
      const isMinimal = params.flag('minimal')
      for (const vm of await findVms(context, diskListParams)) {
        for (const [position, { vbd, vdiRef }] of (await disksOf(context, vm)).entries()) {
          const vdi = (await api('VDI.get_record', vdiRef)) as ApiRecord
          if (!isMinimal) print.lines([`Disk ${position} VBD:`])
          print.records([await printRecord(fieldsOf(vbdClass, 'vbd'), vbd, ask)])
          if (!isMinimal) print.lines([`Disk ${position} VDI:`])
          print.records([await printRecord(fieldsOf(vdiClass, 'vdi'), vdi, ask)])
        }
      }
    },
  },
  {
    name: 'vm-disk-add',
    help: "Makes a VDI and gives it to a VM as its disk 'device' (a number, or autodetect). disk-size is in bytes, or with a suffix such as 10GiB; without sr-uuid it lies in the default storage repository.",
    required: ['disk-size', 'device'],
    optional: ['sr-uuid', 'sm-config:', ...vmSelectors],
    keys: { 'sm-config': ['image-format'] },
    checksNames: true,
    async run(context) {
      const { params, print, api } = context
      const vm = await findVm(context, ['disk-size', 'device', 'sr-uuid', 'sm-config:'])
      const vdi = await api('VDI.create', {
        name_label: nameOfDisk(vm, params.required('device')),
        SR: await srOf(context),
        virtual_size: String(params.size('disk-size')),
        type: 'user',
        sharable: false,
        read_only: false,
        other_config: {},
        sm_config: params.map('sm-config'),
      })
      try {
        const owned = { VM: vm.ref, VDI: vdi, userdevice: params.required('device') }
        await api('VBD.create', { ...owned, other_config: { owner: '' } })
      } catch (error) {
        await api('VDI.destroy', vdi)
        throw error
      }
      print.lines([uuidIn(vdi)])
    },
  },
  {
    name: 'vm-disk-remove',
    help: "Takes the disk 'device' from a VM and destroys its VDI.",
    required: ['device'],
    optional: [...vmSelectors],
    checksNames: true,
    async run(context) {
      const { params, api } = context
      const device = params.required('device')
      const vm = await findVm(context, ['device'])
      const disk = (await disksOf(context, vm)).find(({ vbd }) => vbd['userdevice'] === device)
      if (disk === undefined) {
        throw new CliError(`Error: The VM ${String(vm.record['uuid'])} has no disk ${device}`)
      }
      await api('VDI.destroy', disk.vdiRef)
    },
  },
  {
    name: 'vbd-create',
    help: "Gives a VDI to a VM as its disk 'device' (a number, or autodetect). Without vdi-uuid it makes an empty CD drive (type=CD mode=RO).",
    required: ['vm-uuid', 'device'],
    optional: ['vdi-uuid', 'bootable', 'type', 'mode', 'unpluggable', 'other-config:'],
    async run(context) {
      const { params, print, api } = context
      const vdi = params.optional('vdi-uuid')
      const type = wordOf(params, 'type', vbdTypes, vdi === undefined ? 'CD' : 'Disk')
      const ref = await api('VBD.create', {
        VM: await refOf(context, 'VM', params.required('vm-uuid')),
        VDI: vdi === undefined ? NULL_REF : await refOf(context, 'VDI', vdi),
        empty: vdi === undefined,
        userdevice: params.required('device'),
        bootable: params.flag('bootable'),
        type,
        mode: wordOf(params, 'mode', ['RO', 'RW'], type === 'CD' ? 'RO' : 'RW'),
        unpluggable: params.optional('unpluggable') === undefined || params.flag('unpluggable'),
        other_config: params.map('other-config'),
      })
      print.lines([uuidIn(ref)])
    },
  },
  destroying('vbd-destroy', 'VBD', 'Takes a disk from its VM; the VDI stays.'),
  {
    name: 'vif-create',
    help: "Gives a VM an interface 'device' (a number, or autodetect) on a network. Without mac it gets an address of its own.",
    required: ['vm-uuid', 'network-uuid', 'device'],
    optional: ['mac'],
    async run(context) {
      const { params, print, api } = context
      const mac = params.optional('mac') ?? ''
      const ref = await api('VIF.create', {
        VM: await refOf(context, 'VM', params.required('vm-uuid')),
        network: await refOf(context, 'network', params.required('network-uuid')),
        device: params.required('device'),
        MAC: mac === 'random' ? '' : mac,
      })
      print.lines([uuidIn(ref)])
    },
  },
  destroying('vif-destroy', 'VIF', 'Takes an interface from its VM.'),
]

const vbdTypes = ['CD', 'Disk', 'Floppy']

/** One of `words`, in any case. @throws CliError */
const wordOf = (
  params: Params,
  name: string,
  words: readonly string[],
  fallback: string,
): string => {
  const text = params.optional(name) ?? fallback
  const found = words.find((word) => word.toLowerCase() === text.toLowerCase())
  if (found !== undefined) return found
  const known = words.map((word) => `"${word.toLowerCase()}"`).join(' or ')
  throw new CliError(`Error: Unknown ${name}: ${text} (should be ${known})`)
}

const nameOfDisk = ({ record }: FoundVm, device: string): string => {
  const name = String(record['name_label'])
  return /^\d+$/.test(device) ? `${name} ${device}` : name
}

/** The storage repository that `sr-uuid=` names, or the default one. */
const srOf = async (context: CommandContext): Promise<string> => {
  const { params, api } = context
  const uuid = params.optional('sr-uuid')
  if (uuid !== undefined) return refOf(context, 'SR', uuid)
  const [pool] = (await api('pool.get_all')) as string[]
  const sr = String(await api('pool.get_default_SR', pool))
  if (sr !== NULL_REF) return sr
  throw new CliError('Error: There is no default storage repository: name one by sr-uuid=')
}
