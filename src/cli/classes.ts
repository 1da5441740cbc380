// The classes that xe shows, in the order and spelling of XenServer's. records.ts turns this table
// into lists, filters and changes.

import type { CliClass } from './cli-class.ts'
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
  through,
  writable,
} from './cli-class.ts'
import { vmClasses } from './vm-classes.ts'

const tags = field('tags', { ...set, ...writable, separator: ', ' })
const otherConfig = field('other-config', { ...map, ...writable })

const names = [
  field('uuid'),
  field('name-label', writable),
  field('name-description', writable),
] as const

const operations = [field('allowed-operations', set), field('current-operations', set)] as const

const pool: CliClass = {
  name: 'pool',
  apiName: 'pool',
  listed: ['uuid', 'name-label', 'name-description', 'master', 'default-SR'],
  filter: [],
  fields: [
    ...names,
    field('master', refTo('host', 'master')),
    field('default-SR', { ...refTo('SR', 'default_SR'), ...writable }),
    field('crash-dump-SR', refTo('SR', 'crash_dump_SR')),
    field('suspend-image-SR', refTo('SR', 'suspend_image_SR')),
    field(
      'supported-sr-types',
      computed(async (_, ask) => ((await ask('SR.get_supported_types')) as string[]).join('; ')),
    ),
    otherConfig,
    ...operations,
    field('ha-enabled'),
    tags,
  ],
}

const host: CliClass = {
  name: 'host',
  apiName: 'host',
  listed: ['uuid', 'name-label', 'name-description'],
  filter: [],
  fields: [
    ...names,
    ...operations,
    field('enabled'),
    field('API-version-major', { key: 'API_version_major' }),
    field('API-version-minor', { key: 'API_version_minor' }),
    field('API-version-vendor', { key: 'API_version_vendor' }),
    field('software-version', map),
    field('capabilities', set),
    otherConfig,
    field('cpu_info', map),
    field('hostname'),
    field('address'),
    field('memory-overhead'),
    field('memory-total', through('host_metrics', 'metrics', 'memory_total')),
    field('memory-free', through('host_metrics', 'metrics', 'memory_free')),
    field('memory-free-computed', through('host_metrics', 'metrics', 'memory_free')),
    field('host-metrics-live', through('host_metrics', 'metrics', 'live')),
    tags,
  ],
}

const sr: CliClass = {
  name: 'sr',
  apiName: 'SR',
  listed: ['uuid', 'name-label', 'name-description', 'host', 'type', 'content-type'],
  filter: [],
  fields: [
    ...names,
    field(
      'host',
      computed(async ({ PBDs }, ask) => {
        const [pbd, ...more] = PBDs as string[]
        if (more.length > 0) return '<shared>'
        if (pbd === undefined) return nothing
        return String(await ask('host.get_name_label', await ask('PBD.get_host', pbd)))
      }),
    ),
    ...operations,
    field('VDIs', refsTo('VDI', 'VDIs')),
    field('PBDs', refsTo('PBD', 'PBDs')),
    field('virtual-allocation'),
    field('physical-utilisation'),
    field('physical-size'),
    field('type'),
    field('content-type'),
    field('shared', writable),
    field('introduced-by', refTo('DR_task', 'introduced_by')),
    field('is-tools-sr'),
    otherConfig,
    field('sm-config', map),
    field('local-cache-enabled'),
    tags,
    field('clustered'),
  ],
}

const pbd: CliClass = {
  name: 'pbd',
  apiName: 'PBD',
  listed: ['uuid', 'host-uuid', 'sr-uuid', 'device-config', 'currently-attached'],
  filter: [],
  fields: [
    field('uuid'),
    field('host', { ...refTo('host', 'host'), ...deprecated }),
    field('host-uuid', refTo('host', 'host')),
    field('host-name-label', nameOf('host', 'host')),
    field('sr-uuid', refTo('SR', 'SR')),
    field('sr-name-label', nameOf('SR', 'SR')),
    field('device-config', map),
    field('currently-attached'),
    otherConfig,
  ],
}

const sm: CliClass = {
  name: 'sm',
  apiName: 'SM',
  listed: [
    'uuid',
    'type',
    'name-label',
    'name-description',
    'vendor',
    'copyright',
    'configuration',
  ],
  filter: [],
  fields: [
    field('uuid'),
    field('name-label'),
    field('name-description'),
    field('type'),
    field('vendor'),
    field('copyright'),
    field('required-api-version'),
    field('capabilities', { ...set, ...plain, ...deprecated }),
    field('features', map),
    field('configuration', { ...map, ...plain }),
    field('driver-filename'),
    field('required-cluster-stack', { ...set, ...plain, separator: ', ' }),
    field('supported-image-formats', { ...set, ...plain }),
    otherConfig,
  ],
}

const vdi: CliClass = {
  name: 'vdi',
  apiName: 'VDI',
  listed: [
    'uuid',
    'name-label',
    'name-description',
    'sr-uuid',
    'virtual-size',
    'sharable',
    'read-only',
  ],
  filter: [['managed', 'true']],
  fields: [
    ...names,
    field('is-a-snapshot'),
    field('snapshot-of', refTo('VDI', 'snapshot_of')),
    field('snapshots', { ...refsTo('VDI', 'snapshots'), ...plain }),
    field('snapshot-time'),
    ...operations,
    field('sr-uuid', refTo('SR', 'SR')),
    field('sr-name-label', nameOf('SR', 'SR')),
    field('vbd-uuids', refsTo('VBD', 'VBDs')),
    field('crashdump-uuids', refsTo('crashdump', 'crash_dumps')),
    field('virtual-size'),
    field('physical-utilisation'),
    field('location'),
    field('type'),
    field('sharable'),
    field('read-only'),
    field('storage-lock'),
    field('managed'),
    field('parent', { ...refTo('VDI', 'parent'), ...deprecated }),
    field('missing'),
    field('is-tools-iso'),
    otherConfig,
    field('xenstore-data', map),
    field('sm-config', map),
    field('on-boot', writable),
    field('allow-caching', writable),
    field('metadata-latest'),
    field('metadata-of-pool', refTo('pool', 'metadata_of_pool')),
    tags,
    field('cbt-enabled'),
  ],
}

const task: CliClass = {
  name: 'task',
  apiName: 'task',
  listed: ['uuid', 'name-label', 'name-description', 'status', 'progress'],
  filter: [],
  fields: [
    field('uuid'),
    field('name-label'),
    field('name-description'),
    field('subtask_of', refTo('task', 'subtask_of')),
    field('subtasks', { ...refsTo('task', 'subtasks'), ...plain }),
    field('resident-on', refTo('host', 'resident_on')),
    field('status'),
    field('progress'),
    field('type'),
    field('result'),
    field('created'),
    field('finished'),
    field('error_info', { ...set, ...plain }),
    field('allowed_operations', { ...set, ...plain }),
    field('current_operations', { ...set, ...plain }),
    otherConfig,
  ],
}

const message: CliClass = {
  name: 'message',
  apiName: 'message',
  listed: [],
  filter: [],
  fields: [
    field('uuid'),
    field('name'),
    field('priority'),
    field('class', { key: 'cls' }),
    field('obj-uuid'),
    field('timestamp'),
    field('body'),
  ],
}

export const cliClasses: readonly CliClass[] = [
  pool,
  host,
  sr,
  pbd,
  sm,
  vdi,
  task,
  message,
  ...vmClasses,
]
