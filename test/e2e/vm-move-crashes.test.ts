// Either server dies in the middle of a move, or the connection breaks: the VM is whole on exactly
// one side, and nothing is left on the other.

import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
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
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { hasTool } from '../support/tools.ts'
import { eventually } from '../support/wait.ts'

const MiB = 1 << 20

/** A server with the proxy through which the other one reaches it. */
interface Side {
  server: TestServer
  rpc: Rpc
  readonly proxy: TcpProxy
}

const startSide = async (): Promise<Side> => {
  const server = await startServer({ dataFolder: await mkdtemp(join(tmpdir(), 'diskport-data-')) })
  return { server, rpc: await login(server), proxy: await startTcpProxy(server.port) }
}

const killAndRestart = async (side: Side): Promise<void> => {
  await side.server.kill()
  side.server = await startServer({ dataFolder: side.server.dataFolder })
  side.proxy.setTarget(side.server.port)
  side.rpc = await login(side.server)
}

const disks = [
  { format: 'vhd', size: 8 * MiB, parts: [[MiB, 3 * MiB]] },
  { format: 'qcow2', size: 16 * MiB, parts: [[2 * MiB, 4 * MiB]] },
] as const

const createOld = async ({ server, rpc }: Side) => {
  const machine = await createMachine(server, rpc, disks)
  await rpc('VM.snapshot', machine.vm, 'first')
  await writeParts(server, machine.vdis[0]!, { ...disks[0], parts: [[6 * MiB, MiB]] }, 7)
  return machine
}

/** Whatever comes of it: a source that is killed does not answer. */
const begin = async (
  from: Side,
  to: Side,
  vm: string,
): Promise<{ readonly outcome: Promise<unknown> }> => {
  const dest = await receive({ rpc: to.rpc, url: to.proxy.url })
  const move = from.rpc('VM.migrate_send', vm, dest, true, {}, {}, {})
  return { outcome: move.catch((error: unknown) => error) }
}

const hasVm = async ({ rpc }: Side, vm: string): Promise<boolean> =>
  (await rpc<string[]>('VM.get_all')).includes(vm)

/** The side where the VM is, once that is decided: nothing is under way, the other has nothing. */
const settled = (one: Side, other: Side, vm: string): Promise<readonly [Side, Side]> =>
  eventually(
    'the VM to be on one side',
    async () => {
      const [isAtOne, isAtOther] = [await hasVm(one, vm), await hasVm(other, vm)]
      // Never on none: the source lets go only of what the destination has.
      expect(isAtOne || isAtOther).toBe(true)
      if (isAtOne === isAtOther) return undefined
      const [at, empty] = isAtOne ? [one, other] : [other, one]
      const operations = await at.rpc<object>('VM.get_current_operations', vm)
      if (Object.keys(operations).length > 0) return undefined
      const layers = await listLayers(empty.server.dataFolder)
      return layers.length === 0 ? ([at, empty] as const) : undefined
    },
    60_000,
  )

const expectWhole = async (
  [at, empty]: readonly [Side, Side],
  vm: string,
  images: ReadonlyMap<string, string>,
): Promise<void> => {
  await expectSameImages(images, await imagesOf(at.server, at.rpc, vm))
  for (const className of ['VM', 'VBD', 'VIF', 'VDI']) {
    expect(await empty.rpc(`${className}.get_all`)).toEqual([])
  }
}

const steps = [
  'incoming_move.check',
  'incoming_move.begin',
  'incoming_move.create_VDI',
  'PUT /import_raw_vdi',
  'incoming_move.get_content',
  'incoming_move.complete_VDI',
  'incoming_move.add_VM',
  'incoming_move.commit',
  'incoming_move.forget',
] as const

const lacksTools = !hasTool('curl') || !hasTool('qemu-img')

describe.skipIf(lacksTools)('a move of a VM', () => {
  test.each(['source', 'destination'] as const)(
    'whose %s is killed at any of its steps leaves the VM on one side',
    async (victim) => {
      const sides = [await startSide(), await startSide()] as const
      const { vm } = await createOld(sides[0])
      const images = await imagesOf(sides[0].server, sides[0].rpc, vm)
      let [from, to]: readonly [Side, Side] = sides
      for (const step of steps) {
        for (const at of ['request', 'answer'] as const) {
          const killed = victim === 'source' ? from : to
          const restarted = new Promise<void>((resolve, reject) => {
            to.proxy.on(step, at, async () => {
              await killed.server.kill()
              void killAndRestart(killed).then(resolve, reject)
            })
          })
          const { outcome } = await begin(from, to, vm)
          await restarted
          if (victim === 'destination') await outcome
          ;[from, to] = await settled(from, to, vm)
          await expectWhole([from, to], vm, images)
        }
      }
    },
    280_000,
  )

  test('that is killed at a random moment, 50 times, leaves the VM on one side', async () => {
    const sides = [await startSide(), await startSide()] as const
    const { vm } = await createOld(sides[0])
    const images = await imagesOf(sides[0].server, sides[0].rpc, vm)
    let [from, to]: readonly [Side, Side] = sides
    for (let round = 0; round < 50; round += 1) {
      const { outcome } = await begin(from, to, vm)
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 600))
      await killAndRestart(round % 2 === 0 ? from : to)
      if (round % 2 === 1) await outcome
      ;[from, to] = await settled(from, to, vm)
      if (round % 5 === 4) await expectWhole([from, to], vm, images)
    }
    await expectWhole([from, to], vm, images)
  }, 280_000)

  test('goes on after cuts in the middle of a disk, and sends no disk again that has arrived', async () => {
    const [from, to] = [await startSide(), await startSide()]
    const large = { format: 'qcow2', size: 256 * MiB, parts: [[0, 64 * MiB]] } as const
    const { vm } = await createMachine(from.server, from.rpc, [disks[0], large])
    const images = await imagesOf(from.server, from.rpc, vm)
    to.proxy.cutAfter(30 * MiB)
    const { outcome } = await begin(from, to, vm)
    expect(await outcome).toBe(vm)
    await expectWhole(await settled(from, to, vm), vm, images)
    // The large disk once and what was sent of it before the cut; the small one once.
    expect(to.proxy.sent()).toBeGreaterThan((64 + 20) * MiB)
    expect(to.proxy.sent()).toBeLessThan((64 + 30 + 2 * 3 + 2) * MiB)
    expect(uuidOf(vm)).toMatch(/^[0-9a-f-]{36}$/)
  })
})
