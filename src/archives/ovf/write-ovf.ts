// The descriptor of an OVA that is exported: OVF 1.1, as VMware and VirtualBox take it. The
// elements of an item stand in the order of CIM's schema, which is that of their names.

/** In bytes. */
interface WrittenDisk {
  /** Of its file in the archive. */
  readonly fileName: string
  readonly fileSize: number
  /** Of the disk. */
  readonly capacity: number
  readonly name: string
}

export interface WrittenSystem {
  readonly name: string
  readonly description: string
  readonly processors: number
  /** In MiB. */
  readonly memory: number
  readonly firmware: 'bios' | 'uefi'
  /** In the order of their positions. */
  readonly disks: readonly WrittenDisk[]
  /** The networks of its interfaces, in the order of their positions. */
  readonly networks: readonly string[]
}

const namespaces = {
  xmlns: 'http://schemas.dmtf.org/ovf/envelope/1',
  'xmlns:ovf': 'http://schemas.dmtf.org/ovf/envelope/1',
  'xmlns:rasd':
    'http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData',
  'xmlns:vssd': 'http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData',
  'xmlns:vmw': 'http://www.vmware.com/schema/ovf',
}

const streamOptimized = 'http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized'

/** The oldest hardware of VMware that knows all of it. */
const hardware = 'vmx-10'

/** Two IDE controllers of two disks each: what boots everywhere. */
const IDE_CONTROLLERS = 2
const DISKS_OF_IDE = 2

/** Place 7 of a SCSI controller is its own. */
const SCSI_CONTROLLERS = 4
const scsiPlaces = Array.from({ length: 16 }, (_, place) => place).filter((place) => place !== 7)

export const MAXIMUM_DISKS = IDE_CONTROLLERS * DISKS_OF_IDE + SCSI_CONTROLLERS * scsiPlaces.length

/** @param system with at most `MAXIMUM_DISKS` disks */
export const writeOvf = (system: WrittenSystem): string => {
  const { name, disks } = system
  const networks = [...new Set(system.networks)]
  return lines([
    '<?xml version="1.0" encoding="UTF-8"?>',
    tag('Envelope', namespaces, [
      tag('References', {}, disks.map(fileOf)),
      ...(disks.length === 0
        ? []
        : [tag('DiskSection', {}, [text('Info', 'The disks'), ...disks.map(diskOf)])]),
      ...(networks.length === 0
        ? []
        : [tag('NetworkSection', {}, [text('Info', 'The networks'), ...networks.map(networkOf)])]),
      tag('VirtualSystem', { 'ovf:id': idOf(name) }, [
        text('Info', 'A virtual machine'),
        text('Name', name),
        ...(system.description === ''
          ? []
          : [
              tag('AnnotationSection', {}, [
                text('Info', 'What it is'),
                text('Annotation', system.description),
              ]),
            ]),
        tag('OperatingSystemSection', { 'ovf:id': '1', 'vmw:osType': 'otherGuest64' }, [
          text('Info', 'The operating system is not known'),
        ]),
        tag('VirtualHardwareSection', {}, [
          text('Info', 'Virtual hardware'),
          tag('System', {}, [
            text('vssd:ElementName', 'Virtual Hardware Family'),
            text('vssd:InstanceID', '0'),
            text('vssd:VirtualSystemIdentifier', name),
            text('vssd:VirtualSystemType', hardware),
          ]),
          ...itemsOf(system).map((fields, index) => itemOf(fields, index + 1)),
          ...(system.firmware === 'uefi'
            ? [
                tag('vmw:Config', {
                  'ovf:required': 'false',
                  'vmw:key': 'firmware',
                  'vmw:value': 'efi',
                }),
              ]
            : []),
        ]),
      ]),
    ]),
  ])
}

const fileOf = ({ fileName, fileSize }: WrittenDisk, index: number): string =>
  tag('File', {
    'ovf:href': fileName,
    'ovf:id': `file${index + 1}`,
    'ovf:size': String(fileSize),
  })

const diskOf = ({ capacity }: WrittenDisk, index: number): string =>
  tag('Disk', {
    'ovf:capacity': String(capacity),
    'ovf:capacityAllocationUnits': 'byte',
    'ovf:diskId': `vmdisk${index + 1}`,
    'ovf:fileRef': `file${index + 1}`,
    'ovf:format': streamOptimized,
  })

const networkOf = (name: string): string =>
  tag('Network', { 'ovf:name': name }, [text('Description', name)])

/** By their names in CIM. */
type Item = Readonly<Record<string, string>>

/** The controllers come first: an item names its controller by the number of its own item. */
const itemsOf = ({ processors, memory, disks, networks }: WrittenSystem): Item[] => {
  const places = disks.map((_, index) => placeOf(index))
  const controllers = [...new Set(places.map(({ controller }) => controller))]
  const first = 3
  return [
    {
      AllocationUnits: 'hertz * 10^6',
      ...titled(`${processors} virtual CPU`),
      ResourceType: '3',
      VirtualQuantity: String(processors),
    },
    {
      AllocationUnits: 'byte * 2^20',
      ...titled(`${memory} MB of memory`),
      ResourceType: '4',
      VirtualQuantity: String(memory),
    },
    ...controllers.map(controllerOf),
    ...disks.map(({ name }, index) => ({
      AddressOnParent: String(places[index]!.place),
      ...titled(name === '' ? `Disk ${index + 1}` : name),
      HostResource: `ovf:/disk/vmdisk${index + 1}`,
      Parent: String(first + controllers.indexOf(places[index]!.controller)),
      ResourceType: '17',
    })),
    ...networks.map((network, index) => ({
      AddressOnParent: String(index),
      AutomaticAllocation: 'true',
      Connection: network,
      ...titled(`Interface ${index}`),
      ResourceSubType: 'E1000',
      ResourceType: '10',
    })),
  ]
}

/** VirtualBox once read the one, and VMware reads the other. */
const titled = (title: string) => ({ Caption: title, ElementName: title })

const placeOf = (index: number): { readonly controller: string; readonly place: number } => {
  const onIde = IDE_CONTROLLERS * DISKS_OF_IDE
  if (index < onIde) {
    return { controller: `IDE ${Math.floor(index / DISKS_OF_IDE)}`, place: index % DISKS_OF_IDE }
  }
  const onScsi = index - onIde
  return {
    controller: `SCSI ${Math.floor(onScsi / scsiPlaces.length)}`,
    place: scsiPlaces[onScsi % scsiPlaces.length]!,
  }
}

const controllerOf = (controller: string): Item => {
  const [kind, address = ''] = controller.split(' ')
  const common = { Address: address, ...titled(`${kind} Controller ${address}`) }
  return kind === 'IDE'
    ? { ...common, ResourceType: '5' }
    : { ...common, ResourceSubType: 'lsilogic', ResourceType: '6' }
}

/** The elements in the order of their names. */
const itemOf = (fields: Item, instance: number): string =>
  tag(
    'Item',
    {},
    Object.entries({ ...fields, InstanceID: String(instance) })
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => text(`rasd:${name}`, value)),
  )

/** Of a system: what VMware takes in an inventory. */
const idOf = (name: string): string => name.replaceAll(/[^\w.-]+/g, '-') || 'vm'

const escape = (value: string): string =>
  value.replaceAll(/[&<>"\r\n\t]/g, (character) => `&#${character.charCodeAt(0)};`)

const text = (name: string, value: string): string => `<${name}>${escape(value)}</${name}>`

const tag = (
  name: string,
  attributes: Readonly<Record<string, string>>,
  children?: readonly string[],
): string => {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escape(value)}"`)
  const start = `<${name}${written.join('')}`
  if (children === undefined) return `${start}/>`
  return lines([`${start}>`, ...children.map(indented), `</${name}>`]).trimEnd()
}

const indented = (child: string): string => child.replaceAll(/^/gm, '  ')

const lines = (parts: readonly string[]): string => `${parts.join('\n')}\n`
