// Archives of machines, written without the code under test, right or wrong.

import { createHash } from 'node:crypto'
import { endMark, type Entry, sha1Entry, tarEntry } from './block-tars.ts'

export const tarOf = (...entries: readonly Entry[]): Buffer =>
  Buffer.concat([...entries.map((entry) => tarEntry(entry)), endMark])

export interface OvfDisk {
  readonly id: string
  readonly href: string
  /** In bytes. */
  readonly capacity: number
  readonly name?: string
}

const streamOptimized = 'http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized'

/** As VMware's ovftool writes it, short. */
export const ovfOf = (
  disks: readonly OvfDisk[],
  name = 'web',
): string => `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References>
${disks.map(({ href }, index) => `    <File ovf:href="${href}" ovf:id="file${index + 1}"/>`).join('\n')}
  </References>
  <DiskSection>
    <Info>Virtual disk information</Info>
${disks
  .map(
    ({ id, capacity }, index) =>
      `    <Disk ovf:capacity="${capacity / 1024}" ovf:capacityAllocationUnits="byte * 2^10" ovf:diskId="${id}" ovf:fileRef="file${index + 1}" ovf:format="${streamOptimized}"/>`,
  )
  .join('\n')}
  </DiskSection>
  <NetworkSection><Info>The networks</Info><Network ovf:name="VM Network"/></NetworkSection>
  <VirtualSystem ovf:id="${name}">
    <Info>A virtual machine</Info>
    <Name>${name}</Name>
    <AnnotationSection><Info>Notes</Info><Annotation>Serves &lt;pages&gt;</Annotation></AnnotationSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware requirements</Info>
      <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>2048</rasd:VirtualQuantity></Item>
      <Item><rasd:Address>0</rasd:Address><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>
${disks
  .map(
    ({ id, name: label = `Hard Disk ${numberOf(disks, id)}` }, index) =>
      `      <Item><rasd:AddressOnParent>${index}</rasd:AddressOnParent><rasd:ElementName>${label}</rasd:ElementName><rasd:HostResource>ovf:/disk/${id}</rasd:HostResource><rasd:InstanceID>${10 + index}</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>`,
  )
  .join('\n')}
      <Item><rasd:AddressOnParent>7</rasd:AddressOnParent><rasd:Connection>VM Network</rasd:Connection><rasd:InstanceID>20</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>
      <vmw:Config vmw:key="firmware" vmw:value="efi"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`

const numberOf = (disks: readonly OvfDisk[], wanted: string): number =>
  disks.findIndex(({ id }) => id === wanted) + 1

/** @param algorithm as manifests name it */
export const manifestOf = (files: readonly Entry[], algorithm = 'SHA256'): string =>
  files
    .map(({ name, content = new Uint8Array(0) }) => {
      const digest = createHash(algorithm.toLowerCase()).update(content).digest('hex')
      return `${algorithm}(${name})= ${digest}\n`
    })
    .join('')

type Value = string | boolean | readonly Value[] | { readonly [key: string]: Value }

const valueOf = (value: Value): string => {
  if (typeof value === 'boolean') return `<value><boolean>${value ? 1 : 0}</boolean></value>`
  if (typeof value === 'string') return `<value>${value}</value>`
  if (Array.isArray(value)) {
    return `<value><array><data>${value.map(valueOf).join('')}</data></array></value>`
  }
  const members = Object.entries(value).map(
    ([name, member]) => `<member><name>${name}</name>${valueOf(member)}</member>`,
  )
  return `<value><struct>${members.join('')}</struct></value>`
}

export interface XvaObject {
  readonly class: string
  readonly id: string
  readonly snapshot: Readonly<Record<string, Value>>
}

/** ova.xml as XenServer writes it. */
export const ovaXmlOf = (objects: readonly XvaObject[]): string =>
  valueOf({ version: { hostname: 'xs', xapi_major: '1' }, objects: objects as never })

/** The blocks of a disk as XenServer writes them: those that are not zeros, the first, the last. */
export const blocksOf = (folder: string, content: Uint8Array, blockSize = 1 << 20): Buffer[] => {
  const last = Math.ceil(content.length / blockSize) - 1
  return Array.from({ length: last + 1 }, (_, number) => number).flatMap((number) => {
    const block = content.subarray(number * blockSize, (number + 1) * blockSize)
    if (number !== 0 && number !== last && block.every((byte) => byte === 0)) return []
    const name = `${folder}${String(number).padStart(8, '0')}`
    return [tarEntry({ name, content: block }), sha1Entry(name, block)]
  })
}

export const nullRef = 'OpaqueRef:NULL'

/** The objects of a VM with its disks and a CD drive. @param disks by the ids of their VDIs */
export const xvaObjects = (
  disks: Readonly<Record<string, number>>,
  more: Readonly<Record<string, Value>> = {},
): XvaObject[] => [
  {
    class: 'VM',
    id: 'Ref:0',
    snapshot: {
      uuid: '11111111-2222-4333-8444-555555555555',
      name_label: 'db',
      name_description: 'a database',
      is_a_template: false,
      is_a_snapshot: false,
      power_state: 'Halted',
      suspend_VDI: nullRef,
      parent: nullRef,
      affinity: 'Ref:99',
      VCPUs_max: '4',
      VCPUs_at_startup: '4',
      memory_static_max: '2147483648',
      HVM_boot_params: { order: 'cdn' },
      platform: { viridian: 'true' },
      other_config: { mac_seed: 'seed', folder: '/x' },
      tags: ['prod'],
      ...more,
    },
  },
  ...Object.entries(disks).flatMap(([id, size], index): XvaObject[] => [
    {
      class: 'VBD',
      id: `Ref:${100 + index}`,
      snapshot: {
        VM: 'Ref:0',
        VDI: id,
        userdevice: String(index),
        bootable: index === 0,
        mode: 'RW',
        type: 'Disk',
        empty: false,
      },
    },
    {
      class: 'VDI',
      id,
      snapshot: {
        uuid: `00000000-0000-4000-8000-00000000000${index}`,
        name_label: `disk ${index}`,
        name_description: '',
        virtual_size: String(size),
        type: 'user',
        sharable: false,
        read_only: false,
        is_a_snapshot: false,
        other_config: {},
        tags: [],
      },
    },
  ]),
  {
    class: 'VBD',
    id: 'Ref:200',
    snapshot: { VM: 'Ref:0', VDI: nullRef, userdevice: '3', type: 'CD', mode: 'RO', empty: true },
  },
  {
    class: 'VIF',
    id: 'Ref:300',
    snapshot: {
      VM: 'Ref:0',
      network: 'Ref:301',
      device: '0',
      MAC: '02:11:22:33:44:55',
      MTU: '1500',
    },
  },
  {
    class: 'network',
    id: 'Ref:301',
    snapshot: { uuid: '', name_label: 'lab', bridge: 'xenbr9' },
  },
]

/** @param disks contents by the ids of their VDIs */
export const xvaOf = (
  objects: readonly XvaObject[],
  disks: Readonly<Record<string, Uint8Array>>,
): Buffer =>
  Buffer.concat([
    tarEntry({ name: 'ova.xml', content: Buffer.from(ovaXmlOf(objects)) }),
    ...Object.entries(disks).flatMap(([id, content]) => blocksOf(`${id}/`, content)),
    endMark,
  ])
