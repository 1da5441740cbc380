// The fields of a VM that are kept for clients alone: nothing here acts on them. One list gives
// their types and defaults, what VM.create takes, and who may change them.

import type { Role } from '../../catalog/schema.ts'
import type { VmSetting } from '../../catalog/vms/vm-tables.ts'
import type { VmChanges } from '../../catalog/vms/vms.ts'
import type { VmRow } from '../../catalog/vms/vm-rows.ts'
import type { ApiField } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import type { ValueType } from '../wire/values.ts'
import { bool, float, int, oneOf, optionalRefTo, string, stringMap } from '../wire/values.ts'

type VmField = ApiField<VmRow, VmRow, VmChanges>

interface Setting {
  readonly name: string
  readonly type: ValueType<VmSetting>
  readonly fallback: VmSetting
  /** Whether VM.create takes it from its record. */
  readonly isTaken: boolean
  readonly field: VmField
}

interface SettingOptions {
  /** The lowest that may change it; `none`: no call does. Default: whoever may change a VM. */
  readonly role?: Role | 'none'
  /** Default: true. */
  readonly isTaken?: boolean
}

const { field, map } = fieldsFor<VmRow, VmRow, VmChanges>()

const changed =
  (name: string) =>
  (value: VmSetting, { settings }: VmRow): VmChanges => ({
    settings: { ...settings, [name]: value },
  })

/** The stored value, or the default. */
const reader =
  <T extends VmSetting>(name: string, type: ValueType<T>, fallback: T) =>
  ({ settings }: VmRow): T => {
    const stored = settings[name]
    return stored === undefined || stored === null ? fallback : type.fromWire(stored, name)
  }

const setting = <T extends VmSetting>(
  name: string,
  type: ValueType<T>,
  fallback: T,
  { role, isTaken = true }: SettingOptions = {},
): Setting => {
  const read = reader(name, type, fallback)
  const write = role === 'none' ? undefined : changed(name)
  const own = field<T>(name, type, read, write)
  return {
    name,
    type,
    fallback,
    isTaken,
    field: role === undefined || role === 'none' ? own : { ...own, writeRole: role },
  }
}

const mapSetting = (name: string): Setting => ({
  name,
  type: stringMap,
  fallback: {},
  isTaken: true,
  field: map(name, reader(name, stringMap, {}), changed(name)),
})

const afterShutdown = oneOf('on_normal_exit', ['destroy', 'restart'])
const afterCrash = oneOf('on_crash_behaviour', [
  'destroy',
  'coredump_and_destroy',
  'restart',
  'coredump_and_restart',
  'preserve',
  'rename_restart',
])
const afterSoftReboot = oneOf('on_softreboot_behavior', [
  'soft_reboot',
  'destroy',
  'restart',
  'preserve',
])
const domainType = oneOf('domain_type', ['hvm', 'pv', 'pv_in_pvh', 'pvh', 'unspecified'])

const noCall = { role: 'none' } as const
const unset = { role: 'none', isTaken: false } as const
const byPowerAdmin = { role: 'vm-power-admin' } as const
const byPoolOperator = { role: 'pool-operator' } as const

/** In the order of XenAPI's reference. */
export const vmSettings: readonly Setting[] = [
  setting('user_version', int, 1),
  setting('is_default_template', bool, false, unset),
  setting('affinity', optionalRefTo('host'), null, byPowerAdmin),
  setting('memory_overhead', int, 0, unset),
  setting('memory_target', int, 0, noCall),
  setting('memory_static_max', int, 0, byPowerAdmin),
  setting('memory_dynamic_max', int, 0, byPowerAdmin),
  setting('memory_dynamic_min', int, 0, byPowerAdmin),
  setting('memory_static_min', int, 0, byPowerAdmin),
  mapSetting('VCPUs_params'),
  setting('VCPUs_max', int, 1),
  setting('VCPUs_at_startup', int, 1),
  setting('actions_after_softreboot', afterSoftReboot, 'soft_reboot'),
  setting('actions_after_shutdown', afterShutdown, 'destroy'),
  setting('actions_after_reboot', afterShutdown, 'restart'),
  setting('actions_after_crash', afterCrash, 'restart'),
  setting('PV_bootloader', string, ''),
  setting('PV_kernel', string, ''),
  setting('PV_ramdisk', string, ''),
  setting('PV_args', string, ''),
  setting('PV_bootloader_args', string, ''),
  setting('PV_legacy_args', string, ''),
  setting('HVM_boot_policy', string, ''),
  mapSetting('HVM_boot_params'),
  setting('HVM_shadow_multiplier', float, 1, byPowerAdmin),
  mapSetting('platform'),
  setting('PCI_bus', string, ''),
  setting('last_boot_CPU_flags', stringMap, {}, noCall),
  setting('last_booted_record', string, '', noCall),
  setting('recommendations', string, ''),
  mapSetting('xenstore_data'),
  setting('ha_always_run', bool, false, byPoolOperator),
  setting('ha_restart_priority', string, '', byPoolOperator),
  setting('transportable_snapshot_id', string, '', unset),
  mapSetting('blocked_operations'),
  setting('bios_strings', stringMap, {}, { isTaken: false }),
  setting('is_snapshot_from_vmpp', bool, false, noCall),
  setting('is_vmss_snapshot', bool, false, noCall),
  setting('start_delay', int, 0, byPoolOperator),
  setting('shutdown_delay', int, 0, byPoolOperator),
  setting('order', int, 0, byPoolOperator),
  setting('suspend_SR', optionalRefTo('SR'), null),
  setting('version', int, 0, noCall),
  setting('generation_id', string, '0:0', noCall),
  setting('hardware_platform_version', int, 0),
  setting('has_vendor_device', bool, false),
  setting('reference_label', string, '', noCall),
  setting('domain_type', domainType, 'unspecified'),
  mapSetting('NVRAM'),
]
