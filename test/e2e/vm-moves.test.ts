// VMs go from one real server to another and back: whole, with their snapshots, each disk in the
// format that was asked for, or not at all.

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { login, type Rpc } from '../support/json-rpc.ts'
import { listLayers } from '../support/layers.ts'
import {
  createMachine,
  expectSameImages,
  imagesOf,
  receive,
  uuidOf,
  writeParts,
} from '../support/machines.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { expectCleanImage } from '../support/sources.ts'
import { hasTool } from '../support/tools.ts'
import { eventually } from '../support/wait.ts'

const MiB = 1 << 20
const TiB = 2 ** 40

const disks = [
  { format: 'raw', size: 16 * MiB, parts: [[MiB, 3 * MiB]] },
  { format: 'vhd', size: 24 * MiB, parts: [[4 * MiB, 5 * MiB]] },
  { format: 'qcow2', size: TiB, parts: [[TiB - 2 * MiB, MiB]] },
] as const

const startPair = async (): Promise<[TestServer, TestServer]> => [
  await startServer(),
  await startServer(),
]

interface Side {
  readonly server: TestServer
  readonly rpc: Rpc
}

const connect = async (server: TestServer): Promise<Side> => ({ server, rpc: await login(server) })

/** A VM with two snapshots, and changes of the disks between them. */
const createOld = async ({ server, rpc }: Side) => {
  const machine = await createMachine(server, rpc, disks)
  await rpc('VM.snapshot', machine.vm, 'first')
  await writeParts(server, machine.vdis[0]!, { ...disks[0], parts: [[6 * MiB, MiB]] }, 7)
  await writeParts(server, machine.vdis[1]!, { ...disks[1], parts: [[20 * MiB, MiB]] }, 8)
  await rpc('VM.snapshot', machine.vm, 'second')
  await writeParts(server, machine.vdis[2]!, { ...disks[2], parts: [[TiB / 2, 2 * MiB]] }, 9)
  return machine
}

const move = async (
  from: Side,
  to: Side,
  vm: string,
  { formats = {}, options = {}, srs = {} }: Partial<Record<string, Record<string, string>>> = {},
): Promise<string> =>
  from.rpc<string>('VM.migrate_send', vm, await receive(to), true, srs, {}, options, {}, formats)

const expectNothingLeft = async ({ server, rpc }: Side): Promise<void> => {
  expect(await rpc('VM.get_all')).toEqual([])
  expect(await rpc('VDI.get_all')).toEqual([])
  expect(await rpc('VBD.get_all')).toEqual([])
  await eventually('no layer is left', async () =>
    (await listLayers(server.dataFolder)).length === 0 ? true : undefined,
  )
}

const expectCleanLayers = async ({ server }: Side): Promise<void> => {
  for (const layer of await listLayers(server.dataFolder)) {
    const format = layer.slice(layer.lastIndexOf('.') + 1) as 'raw' | 'vhd' | 'qcow2'
    await expectCleanImage(join(server.dataFolder, layer), format)
  }
}

const formatsOf = async ({ rpc }: Side, vm: string): Promise<string[]> => {
  const { VBDs } = await rpc<{ VBDs: string[] }>('VM.get_record', vm)
  const formats = []
  for (const vbd of VBDs) {
    const vdi = await rpc<string>('VBD.get_VDI', vbd)
    formats.push(
      (await rpc<Record<string, string>>('VDI.get_sm_config', vdi))['image-format'] ?? '',
    )
  }
  return formats
}

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('a VM', () => {
  test('goes to another server and back, with other formats each time', async () => {
    const [here, there] = (await Promise.all((await startPair()).map(connect))) as [Side, Side]
    const { vm, vdis } = await createOld(here)
    const images = await imagesOf(here.server, here.rpc, vm)
    const formats = Object.fromEntries(
      vdis.map((vdi, index) => [vdi, ['qcow2', 'raw', 'qcow2'][index]!]),
    )
    const moved = await move(here, there, vm, { formats })
    expect(moved).toBe(vm)
    await expectNothingLeft(here)
    await expectSameImages(images, await imagesOf(there.server, there.rpc, moved))
    expect(await formatsOf(there, moved)).toEqual(['qcow2', 'raw', 'qcow2'])
    await expectCleanLayers(there)

    await move(there, here, moved)
    await expectNothingLeft(there)
    await expectSameImages(images, await imagesOf(here.server, here.rpc, vm))
    await expectCleanLayers(here)
    expect(uuidOf(vm)).toMatch(/^[0-9a-f-]{36}$/)
  })
})
