// ova.xml of an XVA: the objects of XenServer's database that make up the exported VMs, which name
// each other as `Ref:1`. The blocks of a disk lie in the folder of its VDI's name.

import { imageError } from '../../errors.ts'
import { quote } from '../../formats/tar/header.ts'
import type {
  ArchivedDisk,
  ArchivedVbd,
  ArchivedInterface,
  ArchivedMachines,
  ArchivedMap,
  ArchivedVm,
} from '../machines.ts'
import { readMac } from '../mac-address.ts'
import type { XmlElement } from '../xml.ts'
import { listIn, mapIn, textIn, textsIn, valueOf } from './xml-value.ts'

const what = 'Cannot read the XVA'

type Fields = ArchivedMap

interface XvaObject {
  /** `Ref:12` */
  readonly id: string
  readonly fields: Fields
}

/** By class. */
type Objects = ReadonlyMap<string, readonly XvaObject[]>

/** @throws AppError IMPORT_ERROR_GENERIC for what describes no VM that can be imported */
export const readXva = (root: XmlElement): ArchivedMachines => {
  if (root.name === 'appliance') {
    const advice = 'import it on a XenServer, and export it there again'
    throw imageError(what, `it is of the kind that XenServer wrote before version 4: ${advice}`)
  }
  const objects = objectsOf(root)
  const vms = objects.get('VM') ?? []
  if (vms.length === 0) throw imageError(what, 'it describes no VM')
  const disks = disksOf(objects)
  const known = new Set(disks.map(({ id }) => id))
  const devices = devicesOf(objects)
  return {
    disks,
    vms: inOrder(vms).map((vm) => vmOf(vm, devices, known)),
    notes: notesOf(objects),
  }
}

const objectsOf = (root: XmlElement): Objects => {
  const listed = listIn(mapIn(valueOf(root))['objects'])
  if (root.name !== 'value' || listed.length === 0) {
    throw imageError(what, 'its ova.xml is not what XenServer writes: it holds no objects')
  }
  const byClass = new Map<string, XvaObject[]>()
  const ids = new Set<string>()
  for (const object of listed.map(mapIn)) {
    const id = textIn(object['id'])
    if (ids.has(id)) throw imageError(what, `it has two objects that are called ${quote(id)}`)
    ids.add(id)
    const name = textIn(object['class'])
    const found = byClass.get(name) ?? []
    found.push({ id, fields: mapIn(object['snapshot']) })
    byClass.set(name, found)
  }
  return byClass
}

/** What belongs to each VM, by its id; an archive may hold thousands of both. */
interface Devices {
  readonly vbds: ReadonlyMap<string, readonly XvaObject[]>
  readonly vifs: ReadonlyMap<string, readonly XvaObject[]>
  readonly networks: ReadonlyMap<string, Fields>
}

const devicesOf = (objects: Objects): Devices => {
  const byVm = (className: string) =>
    Map.groupBy(objects.get(className) ?? [], ({ fields }) => textIn(fields['VM']))
  return {
    vbds: byVm('VBD'),
    vifs: byVm('VIF'),
    networks: new Map((objects.get('network') ?? []).map(({ id, fields }) => [id, fields])),
  }
}

/** Those that are disks of VMs, and what a suspended VM's memory was written to. */
const disksOf = (objects: Objects): ArchivedDisk[] => {
  const named = new Set([
    ...(objects.get('VBD') ?? [])
      .filter(({ fields }) => textIn(fields['type']) === 'Disk')
      .map(({ fields }) => textIn(fields['VDI'])),
    ...(objects.get('VM') ?? []).map(({ fields }) => textIn(fields['suspend_VDI'])),
  ])
  return (objects.get('VDI') ?? []).filter(({ id }) => named.has(id)).map(diskOf)
}

const diskOf = ({ id, fields }: XvaObject): ArchivedDisk => {
  const size = textIn(fields['virtual_size'])
  if (!/^\d{1,16}$/.test(size) || Number(size) === 0) {
    throw imageError(what, `the virtual_size of the VDI ${quote(id)} is ${quote(size)}`)
  }
  if (id === '' || /[/\\]/.test(id)) throw imageError(what, `a VDI has the name ${quote(id)}`)
  return {
    id,
    nameLabel: textIn(fields['name_label']),
    nameDescription: textIn(fields['name_description']),
    size: Number(size),
    source: { kind: 'blocks', folder: `${id}/` },
    ...snapshotOf(fields),
    readOnly: fields['read_only'] === true,
    sharable: fields['sharable'] === true,
    otherConfig: textsIn(fields['other_config']),
    tags: listIn(fields['tags']).map(textIn),
  }
}

const snapshotOf = (fields: Fields) =>
  fields['is_a_snapshot'] === true
    ? {
        snapshot: {
          ofId: textIn(fields['snapshot_of']),
          time: dateOf(textIn(fields['snapshot_time'])),
        },
      }
    : {}

/** `20251127T12:00:00Z` */
const dateOf = (text: string): Date | null => {
  const [, year, month, day, time] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d:\d\d:\d\d)Z?$/.exec(text.trim()) ?? []
  const date = new Date(`${year}-${month}-${day}T${time}Z`)
  return Number.isNaN(date.getTime()) ? null : date
}

/** Snapshots in the order they were taken, and then the VMs. */
const inOrder = (vms: readonly XvaObject[]): XvaObject[] =>
  vms.toSorted((a, b) => timeOf(a) - timeOf(b))

const timeOf = ({ fields }: XvaObject): number => {
  const { snapshot } = snapshotOf(fields)
  return snapshot === undefined ? Infinity : (snapshot.time?.getTime() ?? 0)
}

const vmOf = (
  { id, fields }: XvaObject,
  { vbds, vifs, networks }: Devices,
  disks: ReadonlySet<string>,
): ArchivedVm => {
  const uuid = textIn(fields['uuid'])
  return {
    id,
    uuid: isUuid.test(uuid) ? uuid.toLowerCase() : undefined,
    nameLabel: textIn(fields['name_label']),
    nameDescription: textIn(fields['name_description']),
    isTemplate: fields['is_a_template'] === true,
    ...snapshotOf(fields),
    parentId: textIn(fields['parent']),
    otherConfig: textsIn(fields['other_config']),
    tags: listIn(fields['tags']).map(textIn),
    settings: fields,
    vbds: (vbds.get(id) ?? []).map((vbd) => vbdOf(vbd, disks)).toSorted(byPosition),
    interfaces: (vifs.get(id) ?? []).map((vif) => interfaceOf(vif, networks)).toSorted(byPosition),
  }
}

const isUuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const byPosition = (a: { position: string | undefined }, b: { position: string | undefined }) =>
  Number(a.position ?? Infinity) - Number(b.position ?? Infinity)

/** A medium of a CD drive is never in the archive. */
const vbdOf = ({ fields }: XvaObject, disks: ReadonlySet<string>): ArchivedVbd => {
  const diskId = textIn(fields['VDI'])
  const type = textIn(fields['type'])
  const isDisk = type === 'Disk' && disks.has(diskId)
  if (type === 'Disk' && !isDisk && fields['empty'] !== true) {
    throw imageError(what, `a VBD names a VDI that is not in it (${quote(diskId)})`)
  }
  return {
    diskId: isDisk ? diskId : null,
    type: type === 'CD' || type === 'Floppy' ? type : 'Disk',
    position: positionOf(fields['userdevice']),
    bootable: fields['bootable'] === true,
    mode: textIn(fields['mode']) === 'RO' ? 'RO' : 'RW',
  }
}

const positionOf = (value: ArchivedMap[string] | undefined): string | undefined => {
  const text = textIn(value)
  return /^\d{1,4}$/.test(text) ? text : undefined
}

const interfaceOf = ({ fields }: XvaObject, networks: Devices['networks']): ArchivedInterface => {
  const network = networks.get(textIn(fields['network'])) ?? {}
  const mtu = Number(textIn(fields['MTU']))
  return {
    position: positionOf(fields['device']),
    mac: readMac(textIn(fields['MAC'])),
    mtu: Number.isInteger(mtu) && mtu > 0 ? mtu : undefined,
    network: {
      uuid: textIn(network['uuid']),
      name: textIn(network['name_label']),
      bridge: textIn(network['bridge']),
    },
  }
}

const notesOf = (objects: Objects): string[] => {
  const vms = objects.get('VM') ?? []
  const isSuspended = vms.some(({ fields }) => textIn(fields['power_state']) === 'Suspended')
  const hasMedium = (objects.get('VBD') ?? []).some(
    ({ fields }) => textIn(fields['type']) === 'CD' && fields['empty'] !== true,
  )
  return [
    ...(isSuspended ? ['a suspended VM comes as if it were shut down'] : []),
    ...(hasMedium ? ['CD drives come empty'] : []),
  ]
}
