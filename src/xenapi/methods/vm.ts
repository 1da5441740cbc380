// VMs come and go, and are copied. What each call does is in operations/; none ever runs.

import type { VmSetting } from '../../catalog/vms/vm-tables.ts'
import { cloneVm } from '../../operations/clone-vm.ts'
import { copyVm } from '../../operations/copy-vm.ts'
import { destroyVm } from '../../operations/destroy-vm.ts'
import { revertVm } from '../../operations/revert-vm.ts'
import { snapshotVm } from '../../operations/snapshot-vm.ts'
import { findVm } from '../../operations/vm/find-vm.ts'
import { AppError } from '../../errors.ts'
import { freeDevices, freeInterfaces } from '../../catalog/vms/devices.ts'
import { toRef } from '../../refs.ts'
import { nameDescriptionType, nameLabelType } from '../classes/names.ts'
import { vmClass } from '../classes/vm.ts'
import { vmSettings } from '../classes/vm-settings.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, optional, parameter } from '../method.ts'
import { recordOf, withDefault } from '../wire/records.ts'
import { requireObject } from '../wire/require-uuid.ts'
import {
  bool,
  optionalRefTo,
  refTo,
  setOf,
  string,
  stringMap,
  voidType,
  wire,
} from '../wire/values.ts'

const takenSettings = vmSettings.filter(({ isTaken }) => isTaken)

/** `power_state`, VBDs and whatever else is not for a client to say is passed over. */
const newVm = recordOf('VM', {
  ...Object.fromEntries(
    takenSettings.map(({ name, type, fallback }) => [name, withDefault(type, fallback)] as const),
  ),
  name_label: withDefault(nameLabelType, ''),
  name_description: withDefault(nameDescriptionType, ''),
  is_a_template: withDefault(bool, false),
  other_config: withDefault(stringMap, {}),
  tags: withDefault(setOf(string), []),
})

const settingsFrom = (given: Readonly<Record<string, unknown>>): Record<string, VmSetting> =>
  // What was read by the type of a setting is one.
  Object.fromEntries(takenSettings.map(({ name }) => [name, given[name] as VmSetting] as const))

/** As VM.create resolves it in XenServer. */
const resolvedDomainType = (settings: Readonly<Record<string, VmSetting>>): VmSetting => {
  if (settings['domain_type'] !== 'unspecified') return settings['domain_type'] ?? 'unspecified'
  return settings['HVM_boot_policy'] === '' ? 'pv' : 'hvm'
}

const vm = parameter(refTo('VM'))
const self = vm
const newName = parameter(nameLabelType)

export const vmMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'VM.create',
    role: 'vm-admin',
    isAsync: true,
    parameters: { args: parameter(newVm) },
    result: refTo('VM'),
    async run({ context, task }, { args }) {
      const given: Readonly<Record<string, unknown>> = args
      const settings = settingsFrom(given)
      const row = {
        nameLabel: args.name_label,
        nameDescription: args.name_description,
        isTemplate: args.is_a_template,
        otherConfig: args.other_config,
        tags: [...new Set(args.tags)],
        settings: { ...settings, domain_type: resolvedDomainType(settings) },
      }
      return (await context.catalog.vms.create(row, task.ref)).uuid
    },
  }),
  defineMethod({
    name: 'VM.destroy',
    role: 'vm-admin',
    isAsync: true,
    parameters: { self },
    result: voidType,
    run: ({ context, task }, args) => destroyVm(context, args.self, task.ref),
  }),
  defineMethod({
    name: 'VM.clone',
    role: 'vm-admin',
    isAsync: true,
    parameters: { vm, new_name: newName },
    result: refTo('VM'),
    run: ({ context, task }, args) => cloneVm(context, args.vm, args.new_name, task.ref),
  }),
  defineMethod({
    name: 'VM.copy',
    role: 'vm-admin',
    isAsync: true,
    parameters: { vm, new_name: newName, sr: parameter(optionalRefTo('SR')) },
    result: refTo('VM'),
    run({ context, task }, args) {
      const request = { vmUuid: args.vm, nameLabel: args.new_name, srUuid: args.sr }
      return copyVm(context, request, task)
    },
  }),
  defineMethod({
    name: 'VM.snapshot',
    role: 'vm-power-admin',
    isAsync: true,
    parameters: { vm, new_name: newName, ignore_vdis: optional(setOf(refTo('VDI')), []) },
    result: refTo('VM'),
    run({ context, task }, args) {
      if (args.ignore_vdis.length > 0) {
        const found = 'a snapshot here is one of all disks'
        throw new AppError('VALUE_NOT_SUPPORTED', ['ignore_vdis', '', found])
      }
      return snapshotVm(context, args.vm, args.new_name, task.ref)
    },
  }),
  defineMethod({
    name: 'VM.snapshot_with_quiesce',
    role: 'vm-power-admin',
    isAsync: true,
    parameters: { vm, new_name: newName },
    result: refTo('VM'),
    async run({ context }, args) {
      await findVm(context, args.vm, 'snapshot_with_quiesce')
      throw new AppError('VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED', [toRef(args.vm)])
    },
  }),
  defineMethod({
    name: 'VM.revert',
    role: 'vm-power-admin',
    isAsync: true,
    parameters: { snapshot: vm },
    result: voidType,
    run: ({ context, task }, { snapshot }) => revertVm(context, snapshot, task.ref),
  }),
  defineMethod({
    name: 'VM.provision',
    role: 'vm-admin',
    isAsync: true,
    parameters: { vm },
    result: voidType,
    async run({ context }, args) {
      const { otherConfig } = await findVm(context, args.vm, 'provision')
      // What XenServer makes of it: disks that a template describes. None is made here.
      if ((otherConfig['disks'] ?? '') === '') return
      const message = `The VM ${args.vm} describes disks in other_config:disks; make them by VDI.create`
      throw new AppError('OPERATION_NOT_ALLOWED', [message])
    },
  }),
  defineMethod({
    name: 'VM.get_allowed_VBD_devices',
    role: 'read-only',
    parameters: { vm },
    result: setOf(string),
    async run({ context }, args) {
      requireObject('VM', args.vm, await context.catalog.vms.get(args.vm))
      const used = await context.catalog.vbds.ofVm(args.vm)
      return freeDevices(used.map(({ userdevice }) => userdevice))
    },
  }),
  defineMethod({
    name: 'VM.get_allowed_VIF_devices',
    role: 'read-only',
    parameters: { vm },
    result: setOf(string),
    async run({ context }, args) {
      requireObject('VM', args.vm, await context.catalog.vms.get(args.vm))
      const used = await context.catalog.vifs.ofVm(args.vm)
      return freeInterfaces(used.map(({ device }) => device))
    },
  }),
  defineMethod({
    name: 'VM.get_boot_record',
    role: 'read-only',
    parameters: { self },
    result: wire('VM record'),
    run: async ({ context }, args) =>
      requireObject('VM', args.self, await vmClass.find(context, args.self)),
  }),
]
