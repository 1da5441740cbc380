// SR: storage repositories, with what lies in them now.

import type { SrTable, StringMap } from '../../catalog/schema.ts'
import type { SrUpdate, SrRow } from '../../catalog/srs.ts'
import type { ScanProblems } from '../../operations/list-scan-problems.ts'
import { listScanProblems } from '../../operations/list-scan-problems.ts'
import type { SrSizes } from '../../operations/measure-sr.ts'
import { measureSr } from '../../operations/measure-sr.ts'
import { problemLines } from '../../operations/sr/problem-files.ts'
import { defineClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import type { ObjectContext } from '../object-context.ts'
import { bool, int, mapOf, optionalRefTo, refTo, setOf, string } from '../wire/values.ts'
import { nameDescriptionType, nameLabelType } from './names.ts'
import { pbdUuidsOf } from './pbd.ts'

interface Row extends SrRow, SrSizes {
  readonly vdiUuids: readonly string[]
  readonly pbdUuids: readonly string[]
  readonly scan: ScanProblems
}

const { field, constant, map, set } = fieldsFor<Row, SrTable, SrUpdate>()

const load = async (context: ObjectContext, srs: readonly SrRow[]): Promise<Row[]> => {
  const vdis = Map.groupBy(await context.catalog.vdis.list(), (vdi) => vdi.srUuid)
  return Promise.all(
    srs.map(async (sr) => ({
      ...sr,
      ...(await measureSr(context, sr.uuid)),
      pbdUuids: pbdUuidsOf(context.hostUuid, [sr]),
      scan: listScanProblems(context, sr.uuid),
      vdiUuids: (vdis.get(sr.uuid) ?? []).map((vdi) => vdi.uuid),
    })),
  )
}

/** XenAPI's names. */
const operationsOf = (sr: Row): string[] => {
  const always = ['forget', 'scan', 'update', 'vdi_introduce']
  const writing = ['vdi_create', 'vdi_clone', 'vdi_snapshot', 'vdi_resize', 'vdi_destroy']
  return sr.readOnly ? [...always, 'vdi_mirror'] : [...always, 'destroy', 'vdi_mirror', ...writing]
}

/** In sm_config: what the last scan found wrong, a line a file. */
const SCAN_PROBLEMS = 'scan-problems'

/** Lines shown: the field is part of every record. */
const maximumProblems = 20

const shownSmConfig = ({ smConfig, scan: { problems, file } }: Row): StringMap => {
  if (problems.size === 0) return smConfig
  const lines = problemLines(problems)
  const more = lines.length - maximumProblems
  const shown = lines.slice(0, maximumProblems)
  if (more > 0)
    shown.push(`and ${more} more files: SR.get_scan_problems tells all, and so does ${file}`)
  return { ...smConfig, [SCAN_PROBLEMS]: shown.join('\n') }
}

const withoutProblems = (smConfig: StringMap): StringMap =>
  Object.fromEntries(Object.entries(smConfig).filter(([key]) => key !== SCAN_PROBLEMS))

export const srClass = defineClass<Row, SrTable, SrUpdate>({
  name: 'SR',
  writeRole: 'pool-operator',
  find: async (context, uuid) => {
    const sr = await context.catalog.srs.get(uuid)
    return sr && (await load(context, [sr]))[0]
  },
  list: async (context) => load(context, await context.catalog.srs.list()),
  update: ({ catalog }, uuid, change) => catalog.srs.update(uuid, change),
  fields: [
    field('uuid', string, (sr) => sr.uuid),
    field(
      'name_label',
      nameLabelType,
      (sr) => sr.nameLabel,
      (nameLabel) => ({ nameLabel }),
    ),
    field(
      'name_description',
      nameDescriptionType,
      (sr) => sr.nameDescription,
      (nameDescription) => ({ nameDescription }),
    ),
    field('allowed_operations', setOf(string), operationsOf),
    constant('current_operations', mapOf(string, string), {}),
    field('VDIs', setOf(refTo('VDI')), (sr) => sr.vdiUuids),
    field('PBDs', setOf(refTo('PBD')), (sr) => sr.pbdUuids),
    field('virtual_allocation', int, (sr) => sr.virtualAllocation),
    field('physical_utilisation', int, (sr) => sr.physicalUtilisation),
    field('physical_size', int, (sr) => sr.physicalSize),
    field('type', string, (sr) => sr.type),
    field('content_type', string, (sr) => sr.contentType),
    field(
      'shared',
      bool,
      (sr) => sr.shared,
      (shared) => ({ shared }),
    ),
    map(
      'other_config',
      (sr) => sr.otherConfig,
      (otherConfig) => ({ otherConfig }),
    ),
    set(
      'tags',
      (sr) => sr.tags,
      (tags) => ({ tags }),
    ),
    {
      ...map(
        'sm_config',
        (sr) => sr.smConfig,
        (smConfig) => ({ smConfig: withoutProblems(smConfig) }),
      ),
      read: shownSmConfig,
    },
    constant('blobs', mapOf(string, refTo('blob')), {}),
    constant('local_cache_enabled', bool, false),
    constant('introduced_by', optionalRefTo('DR_task'), null),
    constant('clustered', bool, false),
    constant('is_tools_sr', bool, false),
  ],
})
