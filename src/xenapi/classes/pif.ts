// PIF: how the host is attached to the network. There is one, the management interface; its uuid
// follows from those of the host and the network.

import type { NetworkRow } from '../../catalog/vms/networks.ts'
import { derivedUuid } from '../../catalog/derived-uuid.ts'
import type { HostRow } from '../../catalog/hosts.ts'
import { defineReadOnlyClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import type { ObjectContext } from '../object-context.ts'
import { bool, int, optionalRefTo, refTo, setOf, string, stringMap } from '../wire/values.ts'

interface Row {
  readonly uuid: string
  readonly host: HostRow
  readonly network: NetworkRow
}

const { field, constant } = fieldsFor<Row, Row, never>()

export const pifUuid = (hostUuid: string, networkUuid: string): string =>
  derivedUuid('PIF', hostUuid, networkUuid)

const list = async ({ catalog }: ObjectContext): Promise<Row[]> => {
  const networks = await catalog.networks.list()
  return (await catalog.hosts.list()).flatMap((host) =>
    networks.map((network) => ({ uuid: pifUuid(host.uuid, network.uuid), host, network })),
  )
}

export const pifClass = defineReadOnlyClass<Row>({
  name: 'PIF',
  find: async (context, uuid) => (await list(context)).find((pif) => pif.uuid === uuid),
  list,
  fields: [
    field('uuid', string, (pif) => pif.uuid),
    constant('device', string, 'eth0'),
    field('network', refTo('network'), (pif) => pif.network.uuid),
    field('host', refTo('host'), (pif) => pif.host.uuid),
    constant('MAC', string, ''),
    field('MTU', int, (pif) => pif.network.mtu),
    constant('VLAN', int, -1),
    constant('metrics', optionalRefTo('PIF_metrics'), null),
    constant('physical', bool, true),
    constant('currently_attached', bool, true),
    constant('ip_configuration_mode', string, 'Static'),
    field('IP', string, (pif) => pif.host.address),
    constant('netmask', string, ''),
    constant('gateway', string, ''),
    constant('DNS', string, ''),
    constant('bond_slave_of', optionalRefTo('Bond'), null),
    constant('bond_master_of', setOf(refTo('Bond')), []),
    constant('VLAN_master_of', optionalRefTo('VLAN'), null),
    constant('VLAN_slave_of', setOf(refTo('VLAN')), []),
    constant('management', bool, true),
    constant('other_config', stringMap, {}),
    constant('disallow_unplug', bool, true),
    constant('tunnel_access_PIF_of', setOf(refTo('tunnel')), []),
    constant('tunnel_transport_PIF_of', setOf(refTo('tunnel')), []),
    constant('ipv6_configuration_mode', string, 'None'),
    constant('IPv6', setOf(string), []),
    constant('ipv6_gateway', string, ''),
    constant('primary_address_type', string, 'IPv4'),
    constant('managed', bool, true),
    constant('properties', stringMap, {}),
    constant('capabilities', setOf(string), []),
    constant('igmp_snooping_status', string, 'unknown'),
    constant('sriov_physical_PIF_of', setOf(refTo('network_sriov')), []),
    constant('sriov_logical_PIF_of', setOf(refTo('network_sriov')), []),
    constant('PCI', optionalRefTo('PCI'), null),
  ],
})
