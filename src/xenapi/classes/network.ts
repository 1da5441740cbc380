// network: the one that VIFs name. Nothing is switched here.

import type { NetworkChanges, NetworkRow } from '../../catalog/vms/networks.ts'
import { defineClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import type { ObjectContext } from '../object-context.ts'
import { bool, int, mapOf, refTo, setOf, string } from '../wire/values.ts'
import { nameDescriptionType, nameLabelType } from './names.ts'
import { pifUuid } from './pif.ts'

interface Row extends NetworkRow {
  readonly vifUuids: readonly string[]
  readonly pifUuids: readonly string[]
}

const { field, constant, map, set } = fieldsFor<Row, NetworkRow, NetworkChanges>()

const load = async ({ catalog }: ObjectContext, network: NetworkRow): Promise<Row> => ({
  ...network,
  vifUuids: (await catalog.vifs.ofNetwork(network.uuid)).map(({ uuid }) => uuid),
  pifUuids: (await catalog.hosts.list()).map((host) => pifUuid(host.uuid, network.uuid)),
})

export const networkClass = defineClass<Row, NetworkRow, NetworkChanges>({
  name: 'network',
  writeRole: 'pool-operator',
  find: async (context, uuid) => {
    const network = await context.catalog.networks.get(uuid)
    return network && load(context, network)
  },
  list: async (context) =>
    Promise.all((await context.catalog.networks.list()).map((network) => load(context, network))),
  update: ({ catalog }, uuid, change) => catalog.networks.update(uuid, change),
  fields: [
    field('uuid', string, (network) => network.uuid),
    field(
      'name_label',
      nameLabelType,
      (network) => network.nameLabel,
      (nameLabel) => ({ nameLabel }),
    ),
    field(
      'name_description',
      nameDescriptionType,
      (network) => network.nameDescription,
      (nameDescription) => ({ nameDescription }),
    ),
    constant('allowed_operations', setOf(string), []),
    constant('current_operations', mapOf(string, string), {}),
    field('VIFs', setOf(refTo('VIF')), (network) => network.vifUuids),
    field('PIFs', setOf(refTo('PIF')), (network) => network.pifUuids),
    field(
      'MTU',
      int,
      (network) => network.mtu,
      (mtu) => ({ mtu }),
    ),
    map(
      'other_config',
      (network) => network.otherConfig,
      (otherConfig) => ({ otherConfig }),
    ),
    field('bridge', string, (network) => network.bridge),
    constant('managed', bool, true),
    constant('blobs', mapOf(string, refTo('blob')), {}),
    {
      ...set(
        'tags',
        (network) => network.tags,
        (tags) => ({ tags }),
      ),
      writeRole: 'vm-operator',
    },
    constant('default_locking_mode', string, 'unlocked'),
    constant('assigned_ips', mapOf(refTo('VIF'), string), {}),
    constant('purpose', setOf(string), []),
  ],
})
