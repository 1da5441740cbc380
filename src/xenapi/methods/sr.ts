// SRs: made on a folder, introduced, scanned, forgotten and destroyed. Sizes are measured whenever
// they are asked for, so SR.update only says whether there is such an SR.

import { randomUUID } from 'node:crypto'
import type { SrRow } from '../../catalog/srs.ts'
import type { OperationContext } from '../../operations/context.ts'
import { createSr } from '../../operations/create-sr.ts'
import { destroySr } from '../../operations/destroy-sr.ts'
import { forgetSr } from '../../operations/forget-sr.ts'
import { introduceSr } from '../../operations/introduce-sr.ts'
import { listScanProblems } from '../../operations/list-scan-problems.ts'
import type { FoundSr } from '../../operations/probe-sr.ts'
import { probeSr } from '../../operations/probe-sr.ts'
import { scanSr } from '../../operations/scan-sr.ts'
import { nameDescriptionType, nameLabelType } from '../classes/names.ts'
import type { XenApiContext } from '../context.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, optional, parameter } from '../method.ts'
import { requireChosenUuid, requireObject } from '../wire/require-uuid.ts'
import { hasRole } from '../roles.ts'
import { bool, int, refTo, setOf, string, stringMap, voidType } from '../wire/values.ts'
import { escapeXml } from '../wire/xml-text.ts'

const requireSr = async ({ catalog }: XenApiContext, uuid: string): Promise<SrRow> =>
  requireObject('SR', uuid, await catalog.srs.get(uuid))

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

const goes = (
  name: string,
  operation: (context: OperationContext, srUuid: string) => Promise<void>,
): SessionMethod =>
  defineMethod({
    name,
    role: 'pool-operator',
    isAsync: true,
    parameters: { sr: parameter(refTo('SR')) },
    result: voidType,
    run: ({ context }, { sr }) => operation(context, sr),
  })

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
    run: ({ context, identity }, args) =>
      createSr(context, {
        hostUuid: args.host,
        nameLabel: args.name_label,
        nameDescription: args.name_description,
        type: args.type,
        contentType: args.content_type === '' ? 'user' : args.content_type,
        shared: args.shared,
        deviceConfig: args.device_config,
        smConfig: args.sm_config,
        mayNameAny: hasRole(identity, 'pool-admin'),
      }),
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
      await introduceSr(context, {
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
      const found = await probeSr(context, {
        hostUuid: args.host,
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
    run: ({ context }, { sr }) => scanSr(context, sr),
  }),
  // Not a method of XenAPI: sm_config shows the first few of what may be thousands.
  defineMethod({
    name: 'SR.get_scan_problems',
    role: 'read-only',
    parameters: { sr: parameter(refTo('SR')) },
    result: stringMap,
    async run({ context }, { sr }) {
      await requireSr(context, sr)
      return Object.fromEntries(listScanProblems(context, sr).problems)
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
  goes('SR.forget', forgetSr),
  goes('SR.destroy', destroySr),
  defineMethod({
    name: 'SR.get_supported_types',
    role: 'read-only',
    parameters: {},
    result: setOf(string),
    run: async ({ context }) => (await context.catalog.sms.list()).map((sm) => sm.type),
  }),
]
