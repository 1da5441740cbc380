// VMs go to other servers, and what is asked before.

import type { StringMap } from '../../catalog/schema.ts'
import { AppError } from '../../errors.ts'
import { assertCanMigrate } from '../../operations/assert-can-migrate.ts'
import { migrateVm } from '../../operations/migrate-vm.ts'
import type { MigrateVmRequest } from '../../operations/moves/check-move.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, optional, parameter } from '../method.ts'
import { bool, mapOf, refTo, string, stringMap, voidType } from '../wire/values.ts'

/** A map whose keys are objects, which become uuids. */
const refMap = (className: string, target: string) => mapOf(uuidKey(className), refTo(target))

const uuidKey = (className: string) => refTo(className)

const parameters = {
  vm: parameter(refTo('VM')),
  dest: parameter(stringMap),
  /** No VM runs here, so each is moved in the same way. */
  live: parameter(bool),
  vdi_map: parameter(refMap('VDI', 'SR')),
  vif_map: parameter(refMap('VIF', 'network')),
  options: parameter(stringMap),
  vgpu_map: optional(stringMap, {}),
  vdi_format_map: optional(mapOf(uuidKey('VDI'), string), {}),
}

/** `force`, `live` and `compress` change nothing for a VM that does not run. */
const ignored = ['force', 'live', 'compress']
const trust = ['plain', 'verify', 'fingerprint']

interface Asked {
  readonly vm: string
  readonly dest: StringMap
  readonly vdi_map: StringMap
  readonly vif_map: StringMap
  readonly options: StringMap
  readonly vgpu_map: StringMap
  readonly vdi_format_map: StringMap
}

/** @throws AppError INVALID_VALUE for an option that is not known */
const requestOf = ({ options, ...asked }: Asked): MigrateVmRequest => {
  const known = ['copy', ...trust, ...ignored]
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown !== undefined) {
    const message = `There is no option ${unknown.slice(0, 64)}: the options are ${known.join(', ')}`
    throw new AppError('INVALID_VALUE', ['options', unknown.slice(0, 64)], { message })
  }
  if (Object.keys(asked.vgpu_map).length > 0) {
    const found = 'no VM here has a virtual GPU'
    throw new AppError('VALUE_NOT_SUPPORTED', ['vgpu_map', Object.keys(asked.vgpu_map)[0]!, found])
  }
  return {
    vmUuid: asked.vm,
    dest: asked.dest,
    srOfVdi: asked.vdi_map,
    formatOfVdi: asked.vdi_format_map,
    networkOfVif: asked.vif_map,
    copies: bool.fromWire(options['copy'] ?? 'false', 'options:copy'),
    trust: Object.fromEntries(Object.entries(options).filter(([name]) => trust.includes(name))),
  }
}

export const vmMoveMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'VM.assert_can_migrate',
    role: 'vm-power-admin',
    isAsync: true,
    parameters,
    result: voidType,
    run: ({ context, signal }, args) =>
      assertCanMigrate(context, requestOf(args), signal ?? new AbortController().signal),
  }),
  defineMethod({
    name: 'VM.migrate_send',
    role: 'vm-power-admin',
    isAsync: true,
    parameters,
    result: refTo('VM'),
    run: ({ context, task }, args) => migrateVm(context, requestOf(args), task),
  }),
]
