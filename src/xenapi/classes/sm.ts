// SM: the storage managers. The smallest class, the one to read first.

import type { SmUpdate, SmRow } from '../../catalog/sms.ts'
import { defineClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import { int, mapOf, setOf, string, stringMap } from '../wire/values.ts'
import { nameDescriptionType, nameLabelType } from './names.ts'

type Row = SmRow & { readonly serverVersion: string }

const { field, constant, map } = fieldsFor<Row, SmRow, SmUpdate>()

/** XenAPI's names for what VDIs of this type can do. */
const features = [
  'VDI_CREATE',
  'VDI_DELETE',
  'VDI_UPDATE',
  'VDI_INTRODUCE',
  'VDI_RESIZE',
  'VDI_RESIZE_ONLINE',
  'VDI_CLONE',
  'VDI_SNAPSHOT',
  'VDI_MIRROR',
  'THIN_PROVISIONING',
]

export const smClass = defineClass<Row, SmRow, SmUpdate>({
  name: 'SM',
  writeRole: 'pool-operator',
  find: async ({ catalog, version }, uuid) => {
    const sm = await catalog.sms.get(uuid)
    return sm && { ...sm, serverVersion: version }
  },
  list: async ({ catalog, version }) =>
    (await catalog.sms.list()).map((sm) => ({ ...sm, serverVersion: version })),
  update: ({ catalog }, uuid, change) => catalog.sms.update(uuid, change),
  fields: [
    field('uuid', string, (sm) => sm.uuid),
    field('name_label', nameLabelType, (sm) => sm.nameLabel),
    field('name_description', nameDescriptionType, (sm) => sm.nameDescription),
    field('type', string, (sm) => sm.type),
    constant('vendor', string, 'diskport'),
    constant('copyright', string, ''),
    field('version', string, (sm) => sm.serverVersion),
    constant('required_api_version', string, '1.0'),
    constant('configuration', stringMap, {}),
    constant('capabilities', setOf(string), features),
    constant(
      'features',
      mapOf(string, int),
      Object.fromEntries(features.map((feature) => [feature, 1])),
    ),
    map(
      'other_config',
      (sm) => sm.otherConfig,
      (otherConfig) => ({ otherConfig }),
    ),
    constant('driver_filename', string, ''),
    constant('required_cluster_stack', setOf(string), []),
    field('supported_image_formats', setOf(string), (sm) => sm.supportedImageFormats),
    constant('host_pending_features', stringMap, {}),
  ],
})
