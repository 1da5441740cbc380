// Descriptors as VirtualBox, VMware and oVirt write them.

import { describe, expect, test } from 'vitest'
import { readOvf } from '../../../../src/archives/ovf/read-ovf.ts'
import { readXml } from '../../../../src/archives/xml.ts'
import { ovfOf } from '../../../support/archives.ts'

const read = async (text: string) =>
  readOvf(
    await readXml(
      (async function* chunks() {
        yield Buffer.from(text)
      })(),
      'x',
    ),
  )

const item = (type: number, id: number, more = ''): string =>
  `<Item><rasd:InstanceID>${id}</rasd:InstanceID><rasd:ResourceType>${type}</rasd:ResourceType>${more}</Item>`

const disk = (id: number, parent: number, place: number, name: string): string =>
  item(
    17,
    id,
    `<rasd:Caption>${name}</rasd:Caption><rasd:Parent>${parent}</rasd:Parent><rasd:AddressOnParent>${place}</rasd:AddressOnParent><rasd:HostResource>/disk/${name}</rasd:HostResource>`,
  )

/** As VirtualBox writes one. */
const virtualBox = (items: string, more = ''): string => `<?xml version="1.0"?>
<Envelope ovf:version="1.0" xml:lang="en-US" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vbox="http://www.virtualbox.org/ovf/machine">
  <References><File ovf:id="file1" ovf:href="my%20disk.vmdk"/><File ovf:id="file2" ovf:href="boot.iso"/></References>
  <DiskSection><Disk ovf:capacity="8589934592" ovf:diskId="vmdisk1" ovf:fileRef="file1" vbox:uuid="x"/><Disk ovf:capacity="20" ovf:capacityAllocationUnits="byte * 2^30" ovf:diskId="vmdisk2"/>${more}</DiskSection>
  <VirtualSystem ovf:id="box"><VirtualHardwareSection>${items}</VirtualHardwareSection></VirtualSystem>
</Envelope>`

describe('an OVF', () => {
  test('of VirtualBox', async () => {
    const { disks, vms, notes } = await read(
      virtualBox(
        [
          item(3, 1, '<rasd:VirtualQuantity>4</rasd:VirtualQuantity>'),
          item(
            4,
            2,
            '<rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:VirtualQuantity>512</rasd:VirtualQuantity>',
          ),
          item(5, 3),
          item(20, 4),
          // By controller and place, not by the order of the document.
          disk(9, 4, 1, 'vmdisk2'),
          item(
            15,
            8,
            '<rasd:Parent>3</rasd:Parent><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>/file/file2</rasd:HostResource>',
          ),
          disk(7, 4, 0, 'vmdisk1'),
          item(10, 10, '<rasd:Connection>NAT</rasd:Connection><rasd:Address>02-00</rasd:Address>'),
        ].join(''),
      ),
    )
    expect(disks).toEqual([
      {
        id: 'vmdisk1',
        nameLabel: 'vmdisk1',
        nameDescription: '',
        size: 2 ** 33,
        source: { kind: 'image', name: 'my disk.vmdk', format: '' },
      },
      {
        id: 'vmdisk2',
        nameLabel: 'vmdisk2',
        nameDescription: '',
        size: 20 * 2 ** 30,
        source: { kind: 'empty' },
      },
    ])
    expect(vms).toHaveLength(1)
    const [vm] = vms
    expect(vm).toMatchObject({
      nameLabel: 'box',
      settings: {
        VCPUs_max: 4,
        memory_static_max: 512 * 2 ** 20,
        HVM_boot_params: { order: 'cd' },
      },
      interfaces: [{ mac: undefined, network: { name: 'NAT' } }],
    })
    expect(vm?.vbds.map(({ type, diskId, bootable }) => [type, diskId, bootable])).toEqual([
      ['CD', null, false],
      ['Disk', 'vmdisk1', true],
      ['Disk', 'vmdisk2', false],
    ])
    expect(notes).toEqual(['files that are no disks are left out: "boot.iso"'])
  })

  test('of several VMs in a collection', async () => {
    const system = (name: string) =>
      `<VirtualSystem id="${name}"><Name>${name}</Name></VirtualSystem>`
    const { vms } = await read(
      `<Envelope><VirtualSystemCollection>${system('a')}<VirtualSystemCollection>${system('b')}</VirtualSystemCollection></VirtualSystemCollection></Envelope>`,
    )
    expect(vms.map(({ nameLabel }) => nameLabel)).toEqual(['a', 'b'])
  })

  test('with disks that nobody has, and a capacity that a property gives', async () => {
    const more = '<Disk ovf:diskId="spare" ovf:capacity="${size}" ovf:fileRef="file2"/>'
    const { disks, notes } = await read(virtualBox(disk(9, 4, 0, 'vmdisk1'), more))
    expect(disks[2]).toMatchObject({ id: 'spare', size: undefined })
    expect(notes).toEqual(['disks that no VM has: "vmdisk2", "spare"'])
  })

  test('says its firmware as VMware does', async () => {
    const { vms } = await read(ovfOf([]).replace('"efi"', '"bios"'))
    expect(vms[0]?.settings).toMatchObject({ HVM_boot_params: { firmware: 'bios' } })
  })

  test.each([
    ['a disk without a name', '<Disk ovf:capacity="1"/>', 'no names of their own'],
    ['two of one name', '<Disk ovf:diskId="vmdisk1" ovf:capacity="1"/>', 'no names of their own'],
    ['nothing of its size', '<Disk ovf:diskId="x"/>', 'neither a file nor a capacity'],
    [
      'a capacity past 2^53',
      '<Disk ovf:diskId="x" ovf:capacity="99999999999999999"/>',
      'the capacity of the disk "x"',
    ],
  ])('with %s is refused', async (_name, more, message) => {
    await expect(read(virtualBox('', more))).rejects.toThrow(message)
  })

  test('in which a file is compressed in a way that is not known is refused', async () => {
    const text = virtualBox('').replace('ovf:id="file1"', 'ovf:id="file1" ovf:compression="lzma"')
    await expect(read(text)).rejects.toThrow('compressed with "lzma", only gzip is known')
  })
})
