// VDI.introduce and VDI.forget: a file in the folder of an SR becomes a VDI, and is left alone
// again.

import type { VdiRow } from '../../catalog/vdis.ts'
import { forgetVdi } from '../../operations/forget-vdi.ts'
import { introduceVdi } from '../../operations/introduce-vdi.ts'
import { nameDescriptionType, nameLabelType } from '../classes/names.ts'
import { changedSmConfig } from '../image-format.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, optional, parameter } from '../method.ts'
import { requireChosenUuid } from '../wire/require-uuid.ts'
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
      const uuid = requireChosenUuid(args.uuid)
      const { sm_config: smConfig } = args
      await introduceVdi(context, {
        srUuid: args.SR,
        location: args.location === '' ? uuid : args.location,
        vdi: {
          uuid,
          nameLabel: args.name_label,
          nameDescription: args.name_description,
          type: args.type,
          sharable: args.sharable,
          readOnly: args.read_only,
          otherConfig: args.other_config,
          xenstoreData: args.xenstore_data,
        },
        ...(Object.keys(smConfig).length > 0 && {
          change: (vdi: VdiRow) => ({ smConfig: changedSmConfig(smConfig, vdi) }),
        }),
      })
      return uuid
    },
  }),
  defineMethod({
    name: 'VDI.forget',
    role: 'vm-admin',
    isAsync: true,
    parameters: { vdi: parameter(refTo('VDI')) },
    result: voidType,
    run: ({ context }, { vdi }) => forgetVdi(context, vdi),
  }),
]
