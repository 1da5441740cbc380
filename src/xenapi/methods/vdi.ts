// VDIs come, grow and go. Their content comes by import; vdi-copies.ts makes more of it.

import { NULL_REF, toRef } from '../../catalog/refs.ts'
import type { FormatName } from '../../catalog/schema.ts'
import { AppError } from '../../errors.ts'
import { requireSizeAllowed } from '../../transfer/at-rest-format.ts'
import { requireWritableSr } from '../../transfer/find.ts'
import { resizeVdi } from '../../operations/resize-vdi.ts'
import { alignUp, SECTOR_SIZE } from '../../units.ts'
import { nameDescriptionType, nameLabelType } from '../classes/names.ts'
import { chooseFormat } from '../image-format.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { recordOf, required, withDefault } from '../wire/records.ts'
import { requireObject } from '../refs.ts'
import { bool, int, oneOf, refTo, setOf, string, stringMap, voidType } from '../wire/values.ts'

export const vdiType = oneOf('vdi_type', [
  'system',
  'user',
  'ephemeral',
  'suspend',
  'crashdump',
  'ha_statefile',
  'metadata',
  'redo_log',
  'rrd',
  'pvs_cache',
  'cbt_metadata',
])

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

/**
 * The size asked for, in whole sectors.
 * @throws AppError INVALID_VALUE unless it is above 0; VDI_TOO_LARGE [no VDI yet, maximum]
 */
const requireSize = (asked: number, format: FormatName): number => {
  if (asked <= 0) {
    const message = `VDI Invalid size: a VDI has more than 0 bytes, not ${asked}`
    throw new AppError('INVALID_VALUE', ['virtual_size', String(asked)], { message })
  }
  const size = alignUp(asked, SECTOR_SIZE)
  requireSizeAllowed(size, format, NULL_REF)
  return size
}

const resize = (name: string): SessionMethod =>
  defineMethod({
    name,
    role: 'vm-admin',
    isAsync: true,
    parameters: { vdi: parameter(refTo('VDI')), size: parameter(int) },
    result: voidType,
    run: ({ context, task }, { vdi, size }) => resizeVdi(context.transfer, vdi, size, task.ref),
  })

export const vdiMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'VDI.create',
    role: 'vm-admin',
    isAsync: true,
    parameters: { args: parameter(newVdi) },
    result: refTo('VDI'),
    async run({ context, task }, { args }) {
      const { catalog } = context
      const sr = requireObject('SR', args.SR, await catalog.srs.get(args.SR))
      await requireWritableSr(context.transfer, sr.uuid)
      const chosen = chooseFormat(args.sm_config, sr)
      const row = {
        ...chosen,
        srUuid: sr.uuid,
        virtualSize: requireSize(args.virtual_size, chosen.format),
        nameLabel: args.name_label,
        nameDescription: args.name_description,
        type: args.type,
        sharable: args.sharable,
        readOnly: args.read_only,
        otherConfig: args.other_config,
        xenstoreData: args.xenstore_data,
        tags: [...new Set(args.tags)],
      }
      return (await catalog.vdis.create(row, task.ref)).uuid
    },
  }),
  defineMethod({
    name: 'VDI.destroy',
    role: 'vm-admin',
    isAsync: true,
    parameters: { self: parameter(refTo('VDI')) },
    result: voidType,
    async run({ context, task }, { self }) {
      const { catalog, storage } = context
      const vdi = requireObject('VDI', self, await catalog.vdis.get(self))
      await requireWritableSr(context.transfer, vdi.srUuid)
      const user = storage.busy(self)
      if (user !== undefined) throw new AppError('VDI_IN_USE', [toRef(self), user])
      await catalog.vdis.destroy(self, task.ref)
      storage.collect(vdi.srUuid)
    },
  }),
  resize('VDI.resize'),
  // No guest runs here: every VDI is at rest.
  resize('VDI.resize_online'),
]
