// pool: one object, the first that clients look at.

import { handleInvalid } from '../../object-errors.ts'
import type { PoolUpdate, PoolRow } from '../../catalog/pools.ts'
import { defineClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import { bool, int, mapOf, optionalRefTo, refTo, setOf, string, stringMap } from '../wire/values.ts'
import { nameDescriptionType, nameLabelType } from './names.ts'

const { field, constant, map, set } = fieldsFor<PoolRow, PoolRow, PoolUpdate>()

export const poolClass = defineClass<PoolRow, PoolRow, PoolUpdate>({
  name: 'pool',
  writeRole: 'pool-operator',
  find: ({ catalog }, uuid) => catalog.pools.get(uuid),
  list: ({ catalog }) => catalog.pools.list(),
  async update({ catalog }, uuid, change) {
    const srs = new Set((await catalog.srs.list()).map((sr) => sr.uuid))
    await catalog.pools.update(uuid, (pool) => {
      const changes = change(pool)
      const srUuid = changes.defaultSrUuid ?? undefined
      if (srUuid !== undefined && !srs.has(srUuid)) throw handleInvalid('SR', srUuid)
      return changes
    })
  },
  fields: [
    field('uuid', string, (pool) => pool.uuid),
    field(
      'name_label',
      nameLabelType,
      (pool) => pool.nameLabel,
      (nameLabel) => ({ nameLabel }),
    ),
    field(
      'name_description',
      nameDescriptionType,
      (pool) => pool.nameDescription,
      (nameDescription) => ({ nameDescription }),
    ),
    field('master', refTo('host'), (pool) => pool.masterUuid),
    field(
      'default_SR',
      optionalRefTo('SR'),
      (pool) => pool.defaultSrUuid,
      (defaultSrUuid) => ({ defaultSrUuid }),
    ),
    constant('suspend_image_SR', optionalRefTo('SR'), null),
    constant('crash_dump_SR', optionalRefTo('SR'), null),
    map(
      'other_config',
      (pool) => pool.otherConfig,
      (otherConfig) => ({ otherConfig }),
    ),
    constant('ha_enabled', bool, false),
    constant('ha_configuration', stringMap, {}),
    constant('ha_statefiles', setOf(string), []),
    constant('ha_host_failures_to_tolerate', int, 0),
    constant('ha_plan_exists_for', int, 0),
    constant('ha_allow_overcommit', bool, false),
    constant('ha_overcommitted', bool, false),
    constant('ha_cluster_stack', string, ''),
    constant('blobs', mapOf(string, refTo('blob')), {}),
    set(
      'tags',
      (pool) => pool.tags,
      (tags) => ({ tags }),
    ),
    constant('gui_config', stringMap, {}),
    constant('health_check_config', stringMap, {}),
    constant('wlb_url', string, ''),
    constant('wlb_username', string, ''),
    constant('wlb_enabled', bool, false),
    constant('wlb_verify_cert', bool, false),
    constant('redo_log_enabled', bool, false),
    constant('redo_log_vdi', optionalRefTo('VDI'), null),
    constant('vswitch_controller', string, ''),
    constant('restrictions', stringMap, {}),
    constant('metadata_VDIs', setOf(refTo('VDI')), []),
    constant('allowed_operations', setOf(string), []),
    constant('current_operations', mapOf(string, string), {}),
    constant('guest_agent_config', stringMap, {}),
    constant('cpu_info', stringMap, {}),
    constant('policy_no_vendor_device', bool, false),
    constant('live_patching_disabled', bool, false),
    constant('igmp_snooping_enabled', bool, false),
    constant('uefi_certificates', string, ''),
    constant('is_psr_pending', bool, false),
    constant('tls_verification_enabled', bool, false),
    constant('repositories', setOf(refTo('Repository')), []),
    constant('client_certificate_auth_enabled', bool, false),
    constant('client_certificate_auth_name', string, ''),
    constant('repository_proxy_url', string, ''),
    constant('repository_proxy_username', string, ''),
    constant('repository_proxy_password', optionalRefTo('secret'), null),
    constant('migration_compression', bool, false),
    constant('coordinator_bias', bool, true),
  ],
})
