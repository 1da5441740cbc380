// The classes of virtual machines that xe shows, in the order and spelling of XenServer's: VMs,
// which it lists as VMs, templates and snapshots, and their devices and networks.

import type { ApiRecord, CliClass, CliField } from './cli-class.ts'
import {
  computed,
  deprecated,
  field,
  map,
  nameOf,
  nothing,
  plain,
  refsTo,
  refTo,
  set,
  writable,
} from './cli-class.ts'

/** XenAPI's name is xe's with other dashes. */
const own = (name: string, options = {}): CliField =>
  field(name, { key: name.replaceAll('-', '_'), ...options })

const ownWritable = (...names: readonly string[]): CliField[] =>
  names.map((name) => own(name, writable))

/** What only a VM that runs has. */
const unknown = (...names: readonly string[]): CliField[] =>
  names.map((name) =>
    field(
      name,
      computed(async () => nothing),
    ),
  )

const always = (name: string, value: string): CliField =>
  field(
    name,
    computed(async () => value),
  )

const mapWritable = { ...map, ...writable }
const tags = field('tags', { ...set, ...writable, separator: ', ' })
const operations = [field('allowed-operations', set), field('current-operations', set)] as const

/** @param method a call that names the devices that are free */
const freeDevices = (name: string, method: string): CliField =>
  field(
    name,
    computed(async ({ uuid }: ApiRecord, ask) =>
      ((await ask(method, `OpaqueRef:${String(uuid)}`)) as string[]).join('; '),
    ),
  )

const vmFields: readonly CliField[] = [
  field('uuid'),
  ...ownWritable('name-label', 'name-description', 'user-version', 'is-a-template'),
  own('is-default-template'),
  own('is-a-snapshot'),
  field('snapshot-of', refTo('VM', 'snapshot_of')),
  field('snapshots', { ...refsTo('VM', 'snapshots'), ...plain }),
  own('snapshot-time'),
  own('snapshot-info', { ...map, ...plain }),
  field('parent', refTo('VM', 'parent')),
  field('children', { ...refsTo('VM', 'children'), ...plain }),
  own('is-control-domain'),
  field(
    'power-state',
    computed(async ({ power_state: state }) => String(state).toLowerCase()),
  ),
  ...unknown('memory-actual'),
  own('memory-target'),
  own('memory-overhead'),
  ...['memory-static-max', 'memory-dynamic-max', 'memory-dynamic-min', 'memory-static-min'].map(
    (name) => own(name, { ...writable, isSize: true }),
  ),
  field('suspend-VDI-uuid', refTo('VDI', 'suspend_VDI')),
  field('suspend-SR-uuid', { ...refTo('SR', 'suspend_SR'), ...writable }),
  own('VCPUs-params', mapWritable),
  ...ownWritable(
    'VCPUs-max',
    'VCPUs-at-startup',
    'actions-after-shutdown',
    'actions-after-softreboot',
    'actions-after-reboot',
    'actions-after-crash',
  ),
  field('console-uuids', refsTo('console', 'consoles')),
  always('hvm', 'false'),
  own('platform', mapWritable),
  ...operations,
  own('blocked-operations', mapWritable),
  freeDevices('allowed-VBD-devices', 'VM.get_allowed_VBD_devices'),
  freeDevices('allowed-VIF-devices', 'VM.get_allowed_VIF_devices'),
  own('domain-type', writable),
  ...unknown('current-domain-type'),
  own('HVM-boot-policy', writable),
  own('HVM-boot-params', mapWritable),
  own('HVM-shadow-multiplier', writable),
  ...ownWritable(
    'PV-kernel',
    'PV-ramdisk',
    'PV-args',
    'PV-legacy-args',
    'PV-bootloader',
    'PV-bootloader-args',
  ),
  own('last-boot-CPU-flags', { ...map, ...plain }),
  field('last-boot-record', { key: 'last_booted_record' }),
  field('resident-on', refTo('host', 'resident_on')),
  field('affinity', { ...refTo('host', 'affinity'), ...writable }),
  own('other-config', mapWritable),
  field('dom-id', { key: 'domid' }),
  own('recommendations', writable),
  own('xenstore-data', mapWritable),
  own('ha-always-run', { ...writable, ...deprecated }),
  own('ha-restart-priority', writable),
  own('blobs', { ...map, ...plain }),
  always('start-time', '<unknown time>'),
  always('install-time', '<unknown time>'),
  ...unknown('VCPUs-number', 'os-version', 'PV-drivers-version', 'memory', 'disks'),
  field('VBDs', refsTo('VBD', 'VBDs')),
  ...unknown('networks', 'PV-drivers-detected', 'other', 'live'),
  tags,
  field('appliance', refTo('VM_appliance', 'appliance')),
  ...ownWritable('start-delay', 'shutdown-delay', 'order'),
  own('version'),
  own('generation-id'),
  own('hardware-platform-version', writable),
  own('has-vendor-device', writable),
  own('requires-reboot'),
  own('reference-label'),
  own('bios-strings', { ...map, ...plain }),
]

const vmClass = (
  name: string,
  listed: readonly string[],
  filter: CliClass['filter'],
): CliClass => ({ name, apiName: 'VM', listed, filter, fields: vmFields })

const vm = vmClass(
  'vm',
  ['uuid', 'name-label', 'power-state'],
  [
    ['is-control-domain', 'false'],
    ['is-a-template', 'false'],
  ],
)

const template = vmClass(
  'template',
  ['uuid', 'name-label', 'name-description'],
  [
    ['is-a-template', 'true'],
    ['is-a-snapshot', 'false'],
  ],
)

const snapshot = vmClass(
  'snapshot',
  ['uuid', 'name-label', 'name-description', 'snapshot-of', 'snapshot-time'],
  [['is-a-snapshot', 'true']],
)

const qos = [
  field('qos_algorithm_type', writable),
  field('qos_algorithm_params', mapWritable),
  field('qos_supported_algorithms', { ...set, ...plain }),
] as const

const vmOf = [
  field('vm-uuid', refTo('VM', 'VM')),
  field('vm-name-label', nameOf('VM', 'VM')),
] as const

const vbd: CliClass = {
  name: 'vbd',
  apiName: 'VBD',
  listed: ['uuid', 'vm-uuid', 'vm-name-label', 'vdi-uuid', 'empty', 'device'],
  filter: [],
  fields: [
    field('uuid'),
    ...vmOf,
    field('vdi-uuid', refTo('VDI', 'VDI')),
    field(
      'vdi-name-label',
      computed(async ({ empty, VDI }, ask) =>
        empty === true ? '<EMPTY>' : String(await ask('VDI.get_name_label', VDI)),
      ),
    ),
    ...operations,
    field('empty'),
    field('device'),
    ...ownWritable('userdevice', 'bootable', 'mode', 'type', 'unpluggable'),
    field('currently-attached'),
    field('storage-lock'),
    field('status-code'),
    field('status-detail'),
    ...qos,
    own('other-config', mapWritable),
  ],
}

const vif: CliClass = {
  name: 'vif',
  apiName: 'VIF',
  listed: ['uuid', 'vm-uuid', 'device', 'network-uuid'],
  filter: [],
  fields: [
    field('uuid'),
    ...vmOf,
    ...operations,
    field('device'),
    field('MAC', { isCaseInsensitive: true }),
    own('MAC-autogenerated'),
    field('MTU'),
    field('currently-attached'),
    ...qos,
    own('other-config', mapWritable),
    field('network-uuid', refTo('network', 'network')),
    field('network-name-label', nameOf('network', 'network')),
    own('locking-mode', writable),
    own('ipv4-allowed', { ...set, ...writable }),
    own('ipv6-allowed', { ...set, ...writable }),
    own('ipv4-configuration-mode'),
    own('ipv4-addresses', { ...set, ...plain }),
    own('ipv4-gateway'),
    own('ipv6-configuration-mode'),
    own('ipv6-addresses', { ...set, ...plain }),
    own('ipv6-gateway'),
  ],
}

const network: CliClass = {
  name: 'network',
  apiName: 'network',
  listed: ['uuid', 'name-label', 'name-description', 'bridge'],
  filter: [],
  fields: [
    field('uuid'),
    ...ownWritable('name-label', 'name-description'),
    field('VIF-uuids', refsTo('VIF', 'VIFs')),
    field('PIF-uuids', refsTo('PIF', 'PIFs')),
    own('MTU', writable),
    field('bridge'),
    field('managed'),
    own('other-config', mapWritable),
    own('blobs', { ...map, ...plain }),
    tags,
    own('default-locking-mode'),
    own('purpose', { ...set, ...plain }),
  ],
}

const pif: CliClass = {
  name: 'pif',
  apiName: 'PIF',
  listed: ['uuid', 'device', 'currently-attached', 'VLAN', 'network-uuid'],
  filter: [],
  fields: [
    field('uuid'),
    field('device'),
    field('MAC', { isCaseInsensitive: true }),
    field('physical'),
    field('managed'),
    field('currently-attached'),
    field('MTU'),
    field('VLAN'),
    field('vlan-master-of', refTo('VLAN', 'VLAN_master_of')),
    field('vlan-slave-of', { ...refsTo('VLAN', 'VLAN_slave_of'), ...plain }),
    field('bond-master-of', { ...refsTo('Bond', 'bond_master_of'), ...plain }),
    field('bond-slave-of', refTo('Bond', 'bond_slave_of')),
    field('management'),
    field('network-uuid', refTo('network', 'network')),
    field('network-name-label', nameOf('network', 'network')),
    field('host-uuid', refTo('host', 'host')),
    field('host-name-label', nameOf('host', 'host')),
    field('IP-configuration-mode', { key: 'ip_configuration_mode' }),
    field('IP'),
    field('netmask'),
    field('gateway'),
    field('IPv6-configuration-mode', { key: 'ipv6_configuration_mode' }),
    field('IPv6', { ...set, ...plain }),
    field('IPv6-gateway', { key: 'ipv6_gateway' }),
    field('primary-address-type'),
    field('DNS'),
    field('properties', { ...map, ...plain }),
    field('other-config', { ...map, ...plain }),
    field('capabilities', { ...set, ...plain }),
  ],
}

export const vmClasses: readonly CliClass[] = [vm, template, snapshot, vbd, vif, network, pif]
