// VDIs come, grow and go. Their content comes by import; vdi-copies.ts makes more of it.

import { vdiTypes } from '../../catalog/schema.ts'
import { createVdi } from '../../operations/create-vdi.ts'
import { destroyVdi } from '../../operations/destroy-vdi.ts'
import { resizeVdi } from '../../operations/resize-vdi.ts'
import { nameDescriptionType, nameLabelType } from '../classes/names.ts'
import { askedFormat } from '../image-format.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { recordOf, required, withDefault } from '../wire/records.ts'
import { bool, int, oneOf, refTo, setOf, string, stringMap, voidType } from '../wire/values.ts'

export const vdiType = oneOf('vdi_type', vdiTypes)

const newVdi = recordOf('VDI', {
  name_label: withDefault(nameLabelType, ''),
  name_description: withDefault(nameDescriptionType, ''),
  SR: required(refTo('SR')),
  virtual_size: required(int),
  type: withDefault(vdiType, 'user'),
  sharable: withDefault(bool, false),
  read_only: withDefault(bool, false),
  other_config: withDefault(stringMap, {}),
  xenstore_data: withDefault(stringMap, {}),
  sm_config: withDefault(stringMap, {}),
  tags: withDefault(setOf(string), []),
})

const resize = (name: string): SessionMethod =>
  defineMethod({
    name,
    role: 'vm-admin',
    isAsync: true,
    parameters: { vdi: parameter(refTo('VDI')), size: parameter(int) },
    result: voidType,
    run: ({ context, task }, { vdi, size }) => resizeVdi(context, vdi, size, task.ref),
  })

export const vdiMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'VDI.create',
    role: 'vm-admin',
    isAsync: true,
    parameters: { args: parameter(newVdi) },
    result: refTo('VDI'),
    run({ context, task }, { args }) {
      const request = {
        ...askedFormat(args.sm_config),
        srUuid: args.SR,
        virtualSize: args.virtual_size,
        nameLabel: args.name_label,
        nameDescription: args.name_description,
        type: args.type,
        sharable: args.sharable,
        readOnly: args.read_only,
        otherConfig: args.other_config,
        xenstoreData: args.xenstore_data,
        tags: [...new Set(args.tags)],
      }
      return createVdi(context, request, task.ref)
    },
  }),
  defineMethod({
    name: 'VDI.destroy',
    role: 'vm-admin',
    isAsync: true,
    parameters: { self: parameter(refTo('VDI')) },
    result: voidType,
    run: ({ context, task }, { self }) => destroyVdi(context, self, task.ref),
  }),
  resize('VDI.resize'),
  // No guest runs here: every VDI is at rest.
  resize('VDI.resize_online'),
]
