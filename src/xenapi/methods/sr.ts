// SRs: made on a folder, introduced, looked through, forgotten and destroyed. Sizes are looked at whenever they are
// asked for, so SR.update has nothing to do but to say whether there is such an SR.

import { randomUUID } from 'node:crypto'
import type { SrRow } from '../../catalog/srs.ts'
import type { FoundSr } from '../../operations/plugging.ts'
import { nameDescriptionType, nameLabelType } from '../classes/names.ts'
import { pbdUuid } from '../classes/pbd.ts'
import type { XenApiContext } from '../context.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, optional, parameter } from '../method.ts'
import { requireChosenUuid, requireObject } from '../refs.ts'
import { hasRole } from '../roles.ts'
import { bool, int, refTo, setOf, string, stringMap, voidType } from '../wire/values.ts'
import { escapeXml } from '../wire/xml-text.ts'

const requireSr = async ({ catalog }: XenApiContext, uuid: string): Promise<SrRow> =>
  requireObject('SR', uuid, await catalog.srs.get(uuid))

/** Each SR has one PBD, which comes and goes with it. */
const tellOfPbd = (
  { catalog, hostUuid }: XenApiContext,
  srUuid: string,
  operation: 'add' | 'mod' | 'del',
): void => catalog.changes.emit('PBD', pbdUuid(hostUuid, srUuid), operation)

/** As XenServer's drivers write it, with the folder of each. */
const probeResult = (found: readonly FoundSr[]): string => {
  const lines = found.flatMap(({ uuid, location }) => [
    '\t<SR>',
    `\t\t<UUID>${uuid}</UUID>`,
    `\t\t<Location>${escapeXml(location)}</Location>`,
    '\t</SR>',
  ])
  return ['<?xml version="1.0" ?>', '<SRlist>', ...lines, '</SRlist>', ''].join('\n')
}

export const srMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'SR.create',
    role: 'pool-operator',
    isAsync: true,
    parameters: {
      host: parameter(refTo('host')),
      device_config: parameter(stringMap),
      physical_size: parameter(int),
      name_label: parameter(nameLabelType),
      name_description: parameter(nameDescriptionType),
      type: parameter(string),
      content_type: parameter(string),
      shared: parameter(bool),
      sm_config: optional(stringMap, {}),
    },
    result: refTo('SR'),
    async run({ context, identity }, args) {
      requireObject('host', args.host, await context.catalog.hosts.get(args.host))
      const uuid = await context.repositories.create({
        nameLabel: args.name_label,
        nameDescription: args.name_description,
        type: args.type,
        contentType: args.content_type === '' ? 'user' : args.content_type,
        shared: args.shared,
        deviceConfig: args.device_config,
        smConfig: args.sm_config,
        mayNameAny: hasRole(identity, 'pool-admin'),
      })
      tellOfPbd(context, uuid, 'add')
      return uuid
    },
  }),
  defineMethod({
    name: 'SR.introduce',
    role: 'pool-operator',
    isAsync: true,
    parameters: {
      uuid: parameter(string),
      name_label: parameter(nameLabelType),
      name_description: parameter(nameDescriptionType),
      type: parameter(string),
      content_type: parameter(string),
      shared: optional(bool, false),
      sm_config: optional(stringMap, {}),
    },
    result: refTo('SR'),
    async run({ context }, args) {
      const uuid = args.uuid === '' ? randomUUID() : requireChosenUuid(args.uuid)
      await context.repositories.introduce({
        uuid,
        nameLabel: args.name_label,
        nameDescription: args.name_description,
        type: args.type,
        contentType: args.content_type === '' ? 'user' : args.content_type,
        shared: args.shared,
        smConfig: args.sm_config,
      })
      return uuid
    },
  }),
  defineMethod({
    name: 'SR.probe',
    role: 'pool-operator',
    isAsync: true,
    parameters: {
      host: parameter(refTo('host')),
      device_config: parameter(stringMap),
      type: parameter(string),
      sm_config: optional(stringMap, {}),
    },
    result: string,
    async run({ context, identity }, args) {
      requireObject('host', args.host, await context.catalog.hosts.get(args.host))
      const found = await context.repositories.probe({
        type: args.type,
        deviceConfig: args.device_config,
        mayNameAny: hasRole(identity, 'pool-admin'),
      })
      return probeResult(found)
    },
  }),
  defineMethod({
    name: 'SR.scan',
    role: 'vm-power-admin',
    isAsync: true,
    parameters: { sr: parameter(refTo('SR')) },
    result: voidType,
    async run({ context }, { sr }) {
      const { storage } = context.transfer
      const wasAttached = storage.stores.isAttached(sr)
      try {
        await context.repositories.scan(await requireSr(context, sr))
      } finally {
        if (storage.stores.isAttached(sr) !== wasAttached) tellOfPbd(context, sr, 'mod')
      }
    },
  }),
  // Not a method of XenAPI: sm_config shows the first few of what may be thousands.
  defineMethod({
    name: 'SR.get_scan_problems',
    role: 'read-only',
    parameters: { sr: parameter(refTo('SR')) },
    result: stringMap,
    async run({ context }, { sr }) {
      await requireSr(context, sr)
      return Object.fromEntries(context.transfer.storage.scanner.problems(sr))
    },
  }),
  defineMethod({
    name: 'SR.update',
    role: 'vm-power-admin',
    isAsync: true,
    parameters: { sr: parameter(refTo('SR')) },
    result: voidType,
    async run({ context }, { sr }) {
      await requireSr(context, sr)
    },
  }),
  ...(['forget', 'destroy'] as const).map((deed) =>
    defineMethod({
      name: `SR.${deed}`,
      role: 'pool-operator',
      isAsync: true,
      parameters: { sr: parameter(refTo('SR')) },
      result: voidType,
      async run({ context }, { sr }) {
        const row = await requireSr(context, sr)
        await context.repositories[deed](row)
        if (row.hasPbd) tellOfPbd(context, sr, 'del')
      },
    }),
  ),
  defineMethod({
    name: 'SR.get_supported_types',
    role: 'read-only',
    parameters: {},
    result: setOf(string),
    run: async ({ context }) => (await context.catalog.sms.list()).map((sm) => sm.type),
  }),
]
