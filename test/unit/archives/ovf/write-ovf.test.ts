// The descriptor of an OVA, as a reader finds it.

import { describe, expect, test } from 'vitest'
import { readOvf } from '../../../../src/archives/ovf/read-ovf.ts'
import type { WrittenSystem } from '../../../../src/archives/ovf/write-ovf.ts'
import { MAXIMUM_DISKS, writeOvf } from '../../../../src/archives/ovf/write-ovf.ts'
import type { XmlElement } from '../../../../src/archives/xml.ts'
import { childOf, childrenOf, readXml, textOf } from '../../../../src/archives/xml.ts'

const system: WrittenSystem = {
  name: 'a <b> & "c"\n',
  description: ' two\nlines ',
  processors: 2,
  memory: 1024,
  firmware: 'uefi',
  disks: [],
  networks: ['lan', 'wan', 'lan'],
}

const disksOf = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    fileName: `d${index}.vmdk`,
    fileSize: 1000 + index,
    capacity: 512 * (index + 1),
    name: index === 0 ? '' : `disk & ${index}`,
  }))

const parse = (text: string): Promise<XmlElement> =>
  readXml(
    (async function* chunks() {
      yield Buffer.from(text)
    })(),
    'x',
  )

const hardwareOf = (root: XmlElement): XmlElement =>
  childOf(childOf(root, 'VirtualSystem'), 'VirtualHardwareSection')!

describe('an OVF', () => {
  test('reads as what it was written of', async () => {
    const disks = disksOf(2)
    const root = await parse(writeOvf({ ...system, disks }))
    const { disks: found, vms, notes } = readOvf(root)
    expect(notes).toEqual([])
    expect(found.map(({ nameLabel, size, source }) => [nameLabel, size, source])).toEqual(
      disks.map(({ fileName, capacity, name }, index) => [
        name || `Disk ${index + 1}`,
        capacity,
        {
          kind: 'image',
          name: fileName,
          format: expect.stringContaining('#streamOptimized') as unknown,
        },
      ]),
    )
    expect(vms).toHaveLength(1)
    expect(vms[0]).toMatchObject({
      nameLabel: system.name.trim(),
      nameDescription: system.description.trim(),
      settings: {
        VCPUs_max: 2,
        memory_static_max: 2 ** 30,
        HVM_boot_params: { firmware: 'uefi' },
      },
      interfaces: [
        { network: { name: 'lan' } },
        { network: { name: 'wan' } },
        { network: { name: 'lan' } },
      ],
    })
    expect(childrenOf(childOf(root, 'NetworkSection'), 'Network')).toHaveLength(2)
  })

  test('has the elements of an item in the order of CIM’s schema, and numbers of its own', async () => {
    const root = await parse(writeOvf({ ...system, disks: disksOf(MAXIMUM_DISKS) }))
    const items = childrenOf(hardwareOf(root), 'Item')
    for (const { children } of items) {
      const names = children.map(({ name }) => name)
      expect(names).toEqual(names.toSorted((a, b) => (a < b ? -1 : 1)))
    }
    const instances = items.map((item) => textOf(item, 'InstanceID'))
    expect(new Set(instances).size).toBe(items.length)
  })

  test('has each disk on a place of its own, of a controller that is there', async () => {
    const root = await parse(writeOvf({ ...system, disks: disksOf(MAXIMUM_DISKS) }))
    const items = childrenOf(hardwareOf(root), 'Item')
    const controllers = new Map(
      items
        .filter((item) => ['5', '6'].includes(textOf(item, 'ResourceType') ?? ''))
        .map((item) => [textOf(item, 'InstanceID'), textOf(item, 'ResourceType')] as const),
    )
    expect([...controllers.values()].join('')).toBe('556666')
    const places = items
      .filter((item) => textOf(item, 'ResourceType') === '17')
      .map((item) => {
        const parent = textOf(item, 'Parent')
        const place = Number(textOf(item, 'AddressOnParent'))
        expect(place).toBeLessThan(controllers.get(parent) === '5' ? 2 : 16)
        expect(controllers.get(parent) === '6' && place === 7).toBe(false)
        return `${parent}/${place}`
      })
    expect(new Set(places).size).toBe(MAXIMUM_DISKS)
    // Read back, they are in the same order.
    const { vms } = readOvf(root)
    expect(vms[0]?.vbds.map(({ diskId }) => diskId)).toEqual(
      places.map((_, index) => `vmdisk${index + 1}`),
    )
  })

  test('of nothing has no empty sections', async () => {
    const root = await parse(
      writeOvf({ ...system, description: '', networks: [], firmware: 'bios' }),
    )
    const names = [...root.children, ...(childOf(root, 'VirtualSystem')?.children ?? [])].map(
      ({ name }) => name,
    )
    expect(names).not.toContain('DiskSection')
    expect(names).not.toContain('NetworkSection')
    expect(names).not.toContain('AnnotationSection')
    expect(childOf(hardwareOf(root), 'Config')).toBeUndefined()
  })
})
