// VDI.introduce and VDI.forget: a file in the folder of an SR becomes a VDI, and is left alone again.

import { toRef } from '../../catalog/refs.ts'
import type { StringMap } from '../../catalog/schema.ts'
import { AppError } from '../../errors.ts'
import { nameDescriptionType, nameLabelType } from '../classes/names.ts'
import type { XenApiContext } from '../context.ts'
import { changedSmConfig } from '../image-format.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, optional, parameter } from '../method.ts'
import { requireChosenUuid, requireObject } from '../refs.ts'
import {
  bool,
  datetime,
  int,
  optionalRefTo,
  refTo,
  string,
  stringMap,
  voidType,
} from '../wire/values.ts'
import { vdiType } from './vdi.ts'

/** The client's keys; one that contradicts the file takes the VDI back. */
const keepSmConfig = async (
  { catalog, repositories }: XenApiContext,
  uuid: string,
  smConfig: StringMap,
): Promise<void> => {
  if (Object.keys(smConfig).length === 0) return
  try {
    await catalog.vdis.update(uuid, (vdi) => ({ smConfig: changedSmConfig(smConfig, vdi) }))
  } catch (error) {
    await repositories.forgetVdi(uuid)
    throw error
  }
}

export const vdiIntroduceMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'VDI.introduce',
    role: 'pool-operator',
    isAsync: true,
    parameters: {
      uuid: parameter(string),
      name_label: parameter(nameLabelType),
      name_description: parameter(nameDescriptionType),
      SR: parameter(refTo('SR')),
      type: parameter(vdiType),
      sharable: parameter(bool),
      read_only: parameter(bool),
      other_config: parameter(stringMap),
      location: parameter(string),
      xenstore_data: optional(stringMap, {}),
      sm_config: optional(stringMap, {}),
      // What XenAPI's own database knows of a disk; here the file says it, or nobody.
      managed: optional(bool, true),
      virtual_size: optional(int, 0),
      physical_utilisation: optional(int, 0),
      metadata_of_pool: optional(optionalRefTo('pool'), null),
      is_a_snapshot: optional(bool, false),
      snapshot_time: optional(datetime, new Date(0)),
      snapshot_of: optional(optionalRefTo('VDI'), null),
    },
    result: refTo('VDI'),
    async run({ context }, args) {
      const { catalog, repositories } = context
      const sr = requireObject('SR', args.SR, await catalog.srs.get(args.SR))
      const uuid = requireChosenUuid(args.uuid)
      if ((await catalog.vdis.get(uuid)) !== undefined) {
        throw new AppError('VALUE_NOT_SUPPORTED', ['uuid', uuid, 'there is a VDI with it already'])
      }
      await repositories.introduceVdi(sr, args.location === '' ? uuid : args.location, {
        uuid,
        nameLabel: args.name_label,
        nameDescription: args.name_description,
        type: args.type,
        sharable: args.sharable,
        readOnly: args.read_only || sr.readOnly,
        otherConfig: args.other_config,
        xenstoreData: args.xenstore_data,
      })
      await keepSmConfig(context, uuid, args.sm_config)
      return uuid
    },
  }),
  defineMethod({
    name: 'VDI.forget',
    role: 'vm-admin',
    isAsync: true,
    parameters: { vdi: parameter(refTo('VDI')) },
    result: voidType,
    async run({ context }, { vdi }) {
      const { catalog, storage, repositories } = context
      requireObject('VDI', vdi, await catalog.vdis.get(vdi))
      const user = storage.busy(vdi)
      if (user !== undefined) throw new AppError('VDI_IN_USE', [toRef(vdi), user])
      await repositories.forgetVdi(vdi)
    },
  }),
]
