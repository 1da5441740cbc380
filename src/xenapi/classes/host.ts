// host: this server, as a host without virtual machines.

import { cpus } from 'node:os'
import type { HostUpdate, HostRow } from '../../catalog/hosts.ts'
import type { StringMap } from '../../catalog/schema.ts'
import { defineClass } from '../class.ts'
import type { ObjectContext } from '../object-context.ts'
import { fieldsFor } from '../fields.ts'
import {
  bool,
  datetime,
  int,
  mapOf,
  optionalRefTo,
  refTo,
  setOf,
  string,
  stringMap,
} from '../wire/values.ts'
import { hostMetricsUuid } from './host-metrics.ts'
import { nameDescriptionType, nameLabelType } from './names.ts'
import { pbdUuidsOf } from './pbd.ts'
import { pifUuid } from './pif.ts'

interface Row extends HostRow {
  readonly serverVersion: string
  readonly pbdUuids: readonly string[]
  readonly pifUuids: readonly string[]
}

const load = async (
  { catalog, version }: ObjectContext,
  hosts: readonly HostRow[],
): Promise<Row[]> => {
  const srs = await catalog.srs.list()
  const networks = await catalog.networks.list()
  return hosts.map((host) => ({
    ...host,
    serverVersion: version,
    pbdUuids: pbdUuidsOf(host.uuid, srs),
    pifUuids: networks.map(({ uuid }) => pifUuid(host.uuid, uuid)),
  }))
}

const { field, constant, map, set } = fieldsFor<Row, HostRow, HostUpdate>()

/** In XenAPI's words, as far as the operating system tells. */
const cpuInfo = (): StringMap => {
  const [first] = cpus()
  return {
    cpu_count: String(cpus().length),
    modelname: first?.model ?? '',
    speed: String(first?.speed ?? 0),
  }
}

/** The version of XenAPI whose calls these are. */
const API_VERSION = { major: 2, minor: 21 }

export const hostClass = defineClass<Row, HostRow, HostUpdate>({
  name: 'host',
  writeRole: 'pool-operator',
  find: async (context, uuid) => {
    const host = await context.catalog.hosts.get(uuid)
    return host && (await load(context, [host]))[0]
  },
  list: async (context) => load(context, await context.catalog.hosts.list()),
  update: ({ catalog }, uuid, change) => catalog.hosts.update(uuid, change),
  fields: [
    field('uuid', string, (host) => host.uuid),
    field(
      'name_label',
      nameLabelType,
      (host) => host.nameLabel,
      (nameLabel) => ({ nameLabel }),
    ),
    field(
      'name_description',
      nameDescriptionType,
      (host) => host.nameDescription,
      (nameDescription) => ({ nameDescription }),
    ),
    constant('memory_overhead', int, 0),
    constant('allowed_operations', setOf(string), []),
    constant('current_operations', mapOf(string, string), {}),
    constant('API_version_major', int, API_VERSION.major),
    constant('API_version_minor', int, API_VERSION.minor),
    constant('API_version_vendor', string, 'diskport'),
    constant('API_version_vendor_implementation', stringMap, {}),
    constant('enabled', bool, true),
    field('software_version', stringMap, ({ serverVersion }) => ({
      product_brand: 'diskport',
      product_version: serverVersion,
      product_version_text: serverVersion,
      product_version_text_short: serverVersion,
    })),
    map(
      'other_config',
      (host) => host.otherConfig,
      (otherConfig) => ({ otherConfig }),
    ),
    constant('capabilities', setOf(string), []),
    constant('cpu_configuration', stringMap, {}),
    constant('sched_policy', string, ''),
    constant('supported_bootloaders', setOf(string), []),
    constant('resident_VMs', setOf(refTo('VM')), []),
    constant('logging', stringMap, {}),
    field('PIFs', setOf(refTo('PIF')), (host) => host.pifUuids),
    constant('suspend_image_sr', optionalRefTo('SR'), null),
    constant('crash_dump_sr', optionalRefTo('SR'), null),
    constant('crashdumps', setOf(refTo('host_crashdump')), []),
    constant('patches', setOf(refTo('host_patch')), []),
    constant('updates', setOf(refTo('pool_update')), []),
    field('PBDs', setOf(refTo('PBD')), (host) => host.pbdUuids),
    constant('host_CPUs', setOf(refTo('host_cpu')), []),
    field('cpu_info', stringMap, cpuInfo),
    field('hostname', string, (host) => host.hostname),
    field('address', string, (host) => host.address),
    field('metrics', refTo('host_metrics'), (host) => hostMetricsUuid(host.uuid)),
    constant('license_params', stringMap, {}),
    constant('ha_statefiles', setOf(string), []),
    constant('ha_network_peers', setOf(string), []),
    constant('blobs', mapOf(string, refTo('blob')), {}),
    set(
      'tags',
      (host) => host.tags,
      (tags) => ({ tags }),
    ),
    constant('external_auth_type', string, ''),
    constant('external_auth_service_name', string, ''),
    constant('external_auth_configuration', stringMap, {}),
    constant('edition', string, ''),
    constant('license_server', stringMap, {}),
    constant('bios_strings', stringMap, {}),
    constant('power_on_mode', string, ''),
    constant('power_on_config', stringMap, {}),
    constant('local_cache_sr', optionalRefTo('SR'), null),
    constant('chipset_info', stringMap, {}),
    constant('PCIs', setOf(refTo('PCI')), []),
    constant('PGPUs', setOf(refTo('PGPU')), []),
    constant('PUSBs', setOf(refTo('PUSB')), []),
    constant('ssl_legacy', bool, false),
    constant('guest_VCPUs_params', stringMap, {}),
    constant('display', string, 'disabled'),
    constant('virtual_hardware_platform_versions', setOf(int), []),
    constant('control_domain', optionalRefTo('VM'), null),
    constant('updates_requiring_reboot', setOf(refTo('pool_update')), []),
    constant('features', setOf(refTo('Feature')), []),
    constant('iscsi_iqn', string, ''),
    constant('multipathing', bool, false),
    constant('uefi_certificates', string, ''),
    constant('certificates', setOf(refTo('Certificate')), []),
    constant('editions', setOf(string), []),
    constant('pending_guidances', setOf(string), []),
    constant('pending_guidances_recommended', setOf(string), []),
    constant('pending_guidances_full', setOf(string), []),
    constant('tls_verification_enabled', bool, false),
    constant('last_software_update', datetime, new Date(0)),
    constant('last_update_hash', string, ''),
    constant('https_only', bool, false),
    constant('numa_affinity_policy', string, 'default_policy'),
    constant('latest_synced_updates_applied', string, 'unknown'),
  ],
})
