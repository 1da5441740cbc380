// The classes that xe shows: their fields in xe's order and spelling, each with where it lies in the XenAPI record.
// records.ts turns this table into lists, filters and changes.

export interface CliField {
  /** xe's name: `sr-uuid`. */
  readonly name: string
  /** In the record: `SR`. */
  readonly key: string
  readonly kind: 'value' | 'ref' | 'refs' | 'name' | 'set' | 'map'
  /** Whether `param-set` or, for sets and maps, `param-add` may change it. */
  readonly isWritable: boolean
  /** Of `ref`, `refs` and `name`: what it refers to. */
  readonly className?: string
  /** Between the members of a set. */
  readonly separator: string
}

export interface CliClass {
  /** As in commands: `vdi`. */
  readonly name: string
  /** As in calls: `VDI`. */
  readonly apiName: string
  readonly fields: readonly CliField[]
  /** What a list shows unless told. */
  readonly listed: readonly string[]
  /** What a list leaves out unless told. */
  readonly filter: readonly (readonly [name: string, value: string])[]
}

type FieldOptions = Partial<Omit<CliField, 'name'>>

const field = (name: string, options: FieldOptions = {}): CliField => ({
  name,
  key: name.replaceAll('-', '_'),
  kind: 'value',
  isWritable: false,
  separator: '; ',
  ...options,
})

const writable = { isWritable: true }
const set = { kind: 'set' } as const
const map = { kind: 'map' } as const
const refTo = (className: string, key: string): FieldOptions => ({ kind: 'ref', className, key })
const refsTo = (className: string, key: string): FieldOptions => ({ kind: 'refs', className, key })
const nameOf = (className: string, key: string): FieldOptions => ({ kind: 'name', className, key })
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
    field('suspend-image-SR', refTo('SR', 'suspend_image_SR')),
    field('crash-dump-SR', refTo('SR', 'crash_dump_SR')),
    ...operations,
    otherConfig,
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
    otherConfig,
    field('hostname'),
    field('address'),
    tags,
  ],
}

const sr: CliClass = {
  name: 'sr',
  apiName: 'SR',
  listed: ['uuid', 'name-label', 'name-description', 'type', 'content-type'],
  filter: [],
  fields: [
    ...names,
    ...operations,
    field('VDIs', refsTo('VDI', 'VDIs')),
    field('PBDs', refsTo('PBD', 'PBDs')),
    field('virtual-allocation'),
    field('physical-utilisation'),
    field('physical-size'),
    field('type'),
    field('content-type'),
    field('shared'),
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
    field('host-uuid', refTo('host', 'host')),
    field('sr-uuid', refTo('SR', 'SR')),
    field('sr-name-label', nameOf('SR', 'SR')),
    field('device-config', map),
    field('currently-attached'),
    field('other-config', map),
  ],
}

const sm: CliClass = {
  name: 'sm',
  apiName: 'SM',
  listed: ['uuid', 'type', 'name-label', 'name-description'],
  filter: [],
  fields: [
    field('uuid'),
    field('name-label'),
    field('name-description'),
    field('type'),
    field('vendor'),
    field('copyright'),
    field('required-api-version'),
    field('capabilities', set),
    field('features', map),
    field('configuration', map),
    field('driver-filename'),
    field('required-cluster-stack', { ...set, separator: ', ' }),
    field('supported-image-formats', set),
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
    field('snapshots', refsTo('VDI', 'snapshots')),
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
    field('sharable', writable),
    field('read-only', writable),
    field('storage-lock'),
    field('managed'),
    field('parent', refTo('VDI', 'parent')),
    field('missing'),
    field('is-tools-iso'),
    otherConfig,
    field('xenstore-data', { ...map, ...writable }),
    field('sm-config', { ...map, ...writable }),
    field('on-boot'),
    field('allow-caching'),
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
    field('subtask-of', refTo('task', 'subtask_of')),
    field('subtasks', refsTo('task', 'subtasks')),
    field('resident-on', refTo('host', 'resident_on')),
    field('status'),
    field('progress'),
    field('type'),
    field('result'),
    field('created'),
    field('finished'),
    field('error-info', set),
    field('allowed-operations', set),
    otherConfig,
  ],
}

export const cliClasses: readonly CliClass[] = [pool, host, sr, pbd, sm, vdi, task]
