// A VM as the source of a move describes it, checked like one that a client makes: what VM.create,
// VBD.create and VIF.create would refuse is refused.

import type { IncomingVm } from '../catalog/moves/incoming-moves.ts'
import type { VmSetting } from '../catalog/vms/vm-tables.ts'
import { deviceExists } from '../object-errors.ts'
import type { IncomingVmWire } from '../operations/moves/wire.ts'
import { requireDevice } from './classes/vbd.ts'
import { requireInterface, requireMac } from './classes/vif.ts'
import { vmSettings } from './classes/vm-settings.ts'

type Settings = IncomingVmWire['vm']['settings']

/**
 * @param networkUuid of interfaces that name none
 * @throws AppError FIELD_TYPE_ERROR, INVALID_VALUE, INVALID_DEVICE, MAC_INVALID,
 *   DEVICE_ALREADY_EXISTS
 */
export const incomingVmRow = (
  { uuid, vm, vbds, vifs }: IncomingVmWire,
  networkUuid: string,
): IncomingVm => {
  requireDistinct(vbds.map(({ userdevice }) => requireDevice(userdevice)))
  requireDistinct(vifs.map(({ device }) => requireInterface(device)))
  const { metadata } = vm
  return {
    uuid,
    vm: {
      ...vm,
      settings: readSettings(vm.settings),
      metadata: metadata && { ...metadata, settings: readSettings(metadata.settings) },
    },
    vbds,
    vifs: vifs.map((vif) => ({
      ...vif,
      mac: requireMac(vif.mac),
      networkUuid: vif.networkUuid ?? networkUuid,
    })),
  }
}

/** Fields that this server does not know are left out: it could not show them. */
const readSettings = (given: Settings): Readonly<Record<string, VmSetting>> =>
  Object.fromEntries(
    vmSettings.flatMap(({ name, type }) => {
      const value = Object.hasOwn(given, name) ? given[name] : undefined
      if (value === undefined) return []
      return [[name, value === null ? null : type.fromWire(value, name)] as const]
    }),
  )

const requireDistinct = (devices: readonly string[]): void => {
  const twice = devices.find((device, index) => devices.indexOf(device) !== index)
  if (twice !== undefined) throw deviceExists(twice)
}
