// A VM of an OVF: its hardware is a list of items, by the numbers of CIM's resource types.

import { imageError } from '../../errors.ts'
import { quote } from '../../formats/tar/header.ts'
import { MiB } from '../../units.ts'
import type { ArchivedDisk, ArchivedVbd, ArchivedInterface, ArchivedVm } from '../machines.ts'
import { readMac } from '../mac-address.ts'
import type { XmlElement } from '../xml.ts'
import { childOf, childrenOf, textOf } from '../xml.ts'
import { allocationUnits } from './allocation-units.ts'
import { attributeOf } from './attributes.ts'

const what = 'Cannot read the OVF'

/** CIM, "ResourceType". */
const kinds = {
  processor: '3',
  memory: '4',
  ethernet: '10',
  floppy: '14',
  cd: '15',
  dvd: '16',
  disk: '17',
} as const

interface ReadSystem {
  readonly vm: ArchivedVm
  /** What its items call the disks, by their ids. */
  readonly diskNames: ReadonlyMap<string, string>
  readonly notes: readonly string[]
}

interface Item {
  readonly type: string
  readonly element: XmlElement
  /** Of the controller among the items, and the place there; for the order. */
  readonly order: readonly [number, number]
}

/** @param index of the system in the document */
export const readSystem = (
  system: XmlElement,
  index: number,
  disks: ReadonlyMap<string, ArchivedDisk>,
): ReadSystem => {
  const hardware = childrenOf(system, 'VirtualHardwareSection')
  const items = itemsOf(hardware[0])
  const diskNames = new Map<string, string>()
  const vbds = items.flatMap(({ type, element }) => {
    const vbd = vbdOf(type, element, disks)
    if (vbd?.type === 'Disk' && vbd.diskId !== null) {
      const name = textOf(element, 'ElementName') ?? textOf(element, 'Caption')
      if (name !== undefined) diskNames.set(vbd.diskId, name)
    }
    return vbd ?? []
  })
  const first = vbds.findIndex(({ type }) => type === 'Disk')
  const id = attributeOf(system, 'id') ?? `vm${index + 1}`
  return {
    vm: {
      id: `${index}`,
      uuid: undefined,
      nameLabel: textOf(system, 'Name') ?? id,
      nameDescription: textOf(childOf(system, 'AnnotationSection'), 'Annotation') ?? '',
      isTemplate: false,
      parentId: null,
      otherConfig: {},
      tags: [],
      settings: settingsOf(items, hardware[0]),
      vbds: vbds.map((vbd, at) => ({ ...vbd, bootable: at === first })),
      interfaces: items.flatMap(({ type, element }) =>
        type === kinds.ethernet ? [interfaceOf(element)] : [],
      ),
    },
    diskNames,
    notes: hardware.length > 1 ? ['of several hardware descriptions the first is taken'] : [],
  }
}

/** As the VM's firmware finds them: by controller, and by place on it. */
const itemsOf = (hardware: XmlElement | undefined): Item[] => {
  const elements = (hardware?.children ?? []).filter(({ name }) => /^(?:\w+)?Item$/.test(name))
  const places = new Map(
    elements.map((element, index) => [textOf(element, 'InstanceID') ?? '', index] as const),
  )
  return elements
    .map((element, index): Item => {
      const parent = textOf(element, 'Parent')
      const place = Number(textOf(element, 'AddressOnParent') ?? NaN)
      const type = textOf(element, 'ResourceType') ?? ''
      return {
        type,
        element,
        order: [places.get(parent ?? '') ?? index, Number.isNaN(place) ? index : place],
      }
    })
    .toSorted((a, b) => a.order[0] - b.order[0] || a.order[1] - b.order[1])
}

const vbdOf = (
  type: string,
  element: XmlElement,
  disks: ReadonlyMap<string, ArchivedDisk>,
): ArchivedVbd | undefined => {
  const common = { position: undefined, bootable: false } as const
  if (type === kinds.cd || type === kinds.dvd) {
    return { ...common, diskId: null, type: 'CD', mode: 'RO' }
  }
  if (type === kinds.floppy) return { ...common, diskId: null, type: 'Floppy', mode: 'RW' }
  if (type !== kinds.disk) return undefined
  const resource = textOf(element, 'HostResource')
  const diskId = /^(?:ovf:)?\/?disk\/(.+)$/.exec(resource ?? '')?.[1]
  if (diskId !== undefined && disks.has(diskId)) {
    return { ...common, diskId, type: 'Disk', mode: 'RW' }
  }
  const name = quote(textOf(element, 'ElementName') ?? '')
  throw imageError(what, `${name} has no disk of it (${quote(resource ?? 'nothing named')})`)
}

const interfaceOf = (element: XmlElement): ArchivedInterface => {
  const name = textOf(element, 'Connection')
  return {
    position: undefined,
    mac: readMac(textOf(element, 'Address')),
    mtu: undefined,
    network: name === undefined ? {} : { name },
  }
}

const settingsOf = (items: readonly Item[], hardware: XmlElement | undefined) => {
  const quantity = (type: string): number | undefined => {
    const element = items.find((item) => item.type === type)?.element
    const text = textOf(element, 'VirtualQuantity')
    if (text === undefined || !/^\d{1,15}$/.test(text)) return undefined
    const unit = type === kinds.memory ? memoryUnit(textOf(element, 'AllocationUnits')) : 1
    const value = Number(text) * unit
    return Number.isSafeInteger(value) && value > 0 ? value : undefined
  }
  const processors = quantity(kinds.processor)
  const memory = quantity(kinds.memory)
  const firmware = firmwareOf(hardware)
  return {
    HVM_boot_policy: 'BIOS order',
    HVM_boot_params: { order: 'cd', ...(firmware !== undefined && { firmware }) },
    domain_type: 'hvm',
    ...(processors !== undefined && { VCPUs_max: processors, VCPUs_at_startup: processors }),
    ...(memory !== undefined && {
      memory_static_max: memory,
      memory_dynamic_max: memory,
      memory_dynamic_min: memory,
      memory_static_min: memory,
    }),
  }
}

const memoryUnit = (text: string | undefined): number =>
  text === undefined ? MiB : (allocationUnits(text) ?? NaN)

/** As VMware writes it: `<vmw:Config vmw:key="firmware" vmw:value="efi"/>`. */
const firmwareOf = (hardware: XmlElement | undefined): 'uefi' | 'bios' | undefined => {
  const config = childrenOf(hardware, 'Config').find(
    ({ attributes }) => attributes.find(({ name }) => name === 'key')?.value === 'firmware',
  )
  const value = config?.attributes.find(({ name }) => name === 'value')?.value
  return value === 'efi' ? 'uefi' : value === 'bios' ? 'bios' : undefined
}
