// VM and VBD: diskport runs no virtual machines, so there are none; clients ask for them all the
// same.

import { defineReadOnlyClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import {
  bool,
  datetime,
  int,
  mapOf,
  optionalRefTo,
  setOf,
  string,
  stringMap,
} from '../wire/values.ts'

interface Row {
  readonly uuid: string
}

const { field, constant } = fieldsFor<Row, Row, never>()

const none = { find: async () => undefined, list: async () => [] }

export const vmClass = defineReadOnlyClass<Row>({
  name: 'VM',
  ...none,
  fields: [
    field('uuid', string, (vm) => vm.uuid),
    constant('name_label', string, ''),
    constant('name_description', string, ''),
    constant('allowed_operations', setOf(string), []),
    constant('current_operations', mapOf(string, string), {}),
    constant('power_state', string, 'Halted'),
    constant('user_version', int, 0),
    constant('is_a_template', bool, false),
    constant('is_default_template', bool, false),
    constant('is_a_snapshot', bool, false),
    constant('is_control_domain', bool, false),
    constant('snapshot_of', optionalRefTo('VM'), null),
    constant('snapshots', setOf(optionalRefTo('VM')), []),
    constant('snapshot_time', datetime, new Date(0)),
    constant('parent', optionalRefTo('VM'), null),
    constant('children', setOf(optionalRefTo('VM')), []),
    constant('resident_on', optionalRefTo('host'), null),
    constant('affinity', optionalRefTo('host'), null),
    constant('memory_static_min', int, 0),
    constant('memory_static_max', int, 0),
    constant('memory_dynamic_min', int, 0),
    constant('memory_dynamic_max', int, 0),
    constant('VCPUs_max', int, 0),
    constant('VCPUs_at_startup', int, 0),
    constant('VCPUs_params', stringMap, {}),
    constant('VBDs', setOf(optionalRefTo('VBD')), []),
    constant('VIFs', setOf(optionalRefTo('VIF')), []),
    constant('metrics', optionalRefTo('VM_metrics'), null),
    constant('guest_metrics', optionalRefTo('VM_guest_metrics'), null),
    constant('platform', stringMap, {}),
    constant('HVM_boot_policy', string, ''),
    constant('HVM_boot_params', stringMap, {}),
    constant('PV_args', string, ''),
    constant('xenstore_data', stringMap, {}),
    constant('blocked_operations', mapOf(string, string), {}),
    constant('other_config', stringMap, {}),
    constant('tags', setOf(string), []),
    constant('version', int, 0),
  ],
})

export const vbdClass = defineReadOnlyClass<Row>({
  name: 'VBD',
  ...none,
  fields: [
    field('uuid', string, (vbd) => vbd.uuid),
    constant('allowed_operations', setOf(string), []),
    constant('current_operations', mapOf(string, string), {}),
    constant('VM', optionalRefTo('VM'), null),
    constant('VDI', optionalRefTo('VDI'), null),
    constant('device', string, ''),
    constant('userdevice', string, ''),
    constant('bootable', bool, false),
    constant('mode', string, 'RW'),
    constant('type', string, 'Disk'),
    constant('unpluggable', bool, false),
    constant('storage_lock', bool, false),
    constant('empty', bool, false),
    constant('currently_attached', bool, false),
    constant('status_code', int, 0),
    constant('status_detail', string, ''),
    constant('runtime_properties', stringMap, {}),
    constant('qos_algorithm_type', string, ''),
    constant('qos_algorithm_params', stringMap, {}),
    constant('qos_supported_algorithms', setOf(string), []),
    constant('metrics', optionalRefTo('VBD_metrics'), null),
    constant('other_config', stringMap, {}),
  ],
})
