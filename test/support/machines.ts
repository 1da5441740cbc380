// VMs with disks and snapshots on real servers, for tests of moves: made, looked at, compared.

import type { FormatName } from '../../src/format-table.ts'
import { type Rpc } from './json-rpc.ts'
import type { TestServer } from './server.ts'
import { convertSource, createRawSource, expectSameGuest } from './sources.ts'
import { createTestFolder } from './tools.ts'
import { download, expectStatus, upload } from './transfer.ts'

export interface DiskSpec {
  /** At rest. */
  readonly format: FormatName
  /** In bytes. */
  readonly size: number
  readonly parts: readonly (readonly [offset: number, length: number])[]
}

/** References. */
export interface TestMachine {
  readonly vm: string
  /** In the order of their positions. */
  readonly vdis: readonly string[]
}

interface VmRecord {
  readonly VBDs: readonly string[]
  readonly snapshots: readonly string[]
  readonly name_label: string
}

export const uuidOf = (ref: string): string => ref.replace('OpaqueRef:', '')

/** Writes a pattern over parts of a VDI, as a QCOW2 image that holds nothing else. */
export const writeParts = async (
  server: TestServer,
  vdi: string,
  { size, parts }: Pick<DiskSpec, 'size' | 'parts'>,
  seed: number,
): Promise<void> => {
  const folder = await createTestFolder()
  const raw = await createRawSource(folder, 'part.raw', { size, parts: [...parts], seed })
  const image = await convertSource(raw, 'qcow2')
  await expectStatus(await upload(server, uuidOf(vdi), image, 'qcow2'), 200)
}

export const createMachine = async (
  server: TestServer,
  rpc: Rpc,
  disks: readonly DiskSpec[],
  name = 'machine',
): Promise<TestMachine> => {
  const [sr] = await rpc<string[]>('SR.get_all')
  const [network] = await rpc<string[]>('network.get_all')
  const vm = await rpc<string>('VM.create', { name_label: name, memory_static_max: '1024' })
  await rpc('VIF.create', { VM: vm, network, device: '0', MAC: '02:00:00:00:00:01' })
  const vdis: string[] = []
  for (const [position, disk] of disks.entries()) {
    const vdi = await rpc<string>('VDI.create', {
      name_label: `${name} ${position}`,
      SR: sr,
      virtual_size: String(disk.size),
      sm_config: { 'image-format': disk.format },
      tags: ['kept'],
    })
    await rpc('VBD.create', {
      VM: vm,
      VDI: vdi,
      userdevice: String(position),
      bootable: position === 0,
    })
    await writeParts(server, vdi, disk, position + 1)
    vdis.push(vdi)
  }
  return { vm, vdis }
}

/** The disks of a VM and of its snapshots in order: what they show, as QCOW2 files. */
export const imagesOf = async (
  server: TestServer,
  rpc: Rpc,
  vm: string,
): Promise<ReadonlyMap<string, string>> => {
  const { snapshots } = await rpc<VmRecord>('VM.get_record', vm)
  const images = new Map<string, string>()
  for (const member of [...snapshots, vm]) {
    const { VBDs, name_label: name } = await rpc<VmRecord>('VM.get_record', member)
    for (const vbd of VBDs) {
      const { VDI, userdevice } = await rpc<{ VDI: string; userdevice: string }>(
        'VBD.get_record',
        vbd,
      )
      if (VDI === 'OpaqueRef:NULL') continue
      const { bodyFile } = await download(server, uuidOf(VDI), 'qcow2')
      images.set(`${name} ${userdevice}`, bodyFile)
    }
  }
  return images
}

/** Throws unless both show the same disks with the same content. */
export const expectSameImages = async (
  images: ReadonlyMap<string, string>,
  others: ReadonlyMap<string, string>,
): Promise<void> => {
  const [names, otherNames] = [images, others].map((map) => [...map.keys()].toSorted())
  if (String(names) !== String(otherNames)) {
    throw new Error(`The disks are ${String(otherNames)}, not ${String(names)}`)
  }
  for (const [name, path] of images) {
    await expectSameGuest([path, 'qcow2'], [others.get(name)!, 'qcow2'])
  }
}

interface Receiver {
  readonly rpc: Rpc
  /** What the source calls the destination by. */
  readonly url?: string
}

/** What VM.migrate_send takes as `dest`. */
export const receive = async ({ rpc, url }: Receiver): Promise<Record<string, string>> => {
  const [host] = await rpc<string[]>('host.get_all')
  const [network] = await rpc<string[]>('network.get_all')
  const dest = await rpc<Record<string, string>>('host.migrate_receive', host, network, {})
  return url === undefined ? dest : { ...dest, master: `${url}/` }
}
