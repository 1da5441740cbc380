// Any sequence of what is done with VMs: each shows on its disks what a plain array of bytes says,
// snapshots stay what they were, and nothing is left that nobody needs.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cloneVm } from '../../src/operations/clone-vm.ts'
import { copyVm } from '../../src/operations/copy-vm.ts'
import { createVbd } from '../../src/operations/create-vbd.ts'
import { destroyVm } from '../../src/operations/destroy-vm.ts'
import { migrateVm } from '../../src/operations/migrate-vm.ts'
import { receiveVm } from '../../src/operations/receive-vm.ts'
import { revertVm } from '../../src/operations/revert-vm.ts'
import { snapshotVm } from '../../src/operations/snapshot-vm.ts'
import { noTask } from '../../src/transfer/with-task.ts'
import { KiB } from '../../src/units.ts'
import type { TestContent } from '../support/content.ts'
import { createTestContent } from '../support/content.ts'
import { expectSameBytes, fillPattern } from '../support/disks.ts'

const size = 256 * KiB
const unit = 4 * KiB

/** `vm` and `disk` choose among those that there are then. */
interface Step {
  readonly kind:
    | 'write'
    | 'attach'
    | 'detach'
    | 'destroyDisk'
    | 'snapshot'
    | 'revert'
    | 'clone'
    | 'copy'
    | 'destroy'
    | 'migrate'
  readonly vm: number
  readonly disk: number
  readonly at: number
  readonly place: 0 | 1
  readonly format: '' | 'raw' | 'vhd' | 'qcow2'
}

const kinds = [
  'write',
  'write',
  'write',
  'attach',
  'attach',
  'detach',
  'destroyDisk',
  'snapshot',
  'snapshot',
  'revert',
  'revert',
  'clone',
  'copy',
  'destroy',
  'migrate',
] as const

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    kind: fc.constantFrom(...kinds),
    vm: fc.nat(20),
    disk: fc.nat(20),
    at: fc.nat(size / unit - 1),
    place: fc.constantFrom(0 as const, 1 as const),
    format: fc.constantFrom('' as const, 'raw' as const, 'vhd' as const, 'qcow2' as const),
  }),
  { maxLength: 16, size: 'max' },
)

/** What a disk must show, by position. */
type Disks = ReadonlyMap<string, Uint8Array>

interface ModelVm {
  readonly disks: Disks
  /** Of a snapshot: the uuid of its VM. */
  readonly snapshotOf: string | null
}

type Model = Map<string, ModelVm>

const emptyDisk = (): Uint8Array => new Uint8Array(size)

const vdiAt = async ({ catalog }: TestContent, vm: string, device: string): Promise<string> =>
  (await catalog.vbds.ofVm(vm)).find(({ userdevice }) => userdevice === device)!.vdiUuid!

const withDisk = (vm: ModelVm, device: string, bytes: Uint8Array | undefined): ModelVm => {
  const disks = new Map(vm.disks)
  if (bytes === undefined) disks.delete(device)
  else disks.set(device, bytes)
  return { ...vm, disks }
}

const run = async (
  content: TestContent,
  model: Model,
  { kind, ...step }: Step,
  seed: number,
): Promise<void> => {
  const { context, catalog, srUuid, otherSrUuid } = content
  const uuids = [...model.keys()]
  const uuid = uuids[step.vm % uuids.length]!
  const vm = model.get(uuid)!
  const devices = [...vm.disks.keys()]
  const device = devices[step.disk % devices.length]
  const isSnapshot = vm.snapshotOf !== null
  if (kind === 'attach' && !isSnapshot) {
    const vdiUuid = await content.create()
    const row = {
      vmUuid: uuid,
      vdiUuid,
      userdevice: 'autodetect',
      bootable: false,
      mode: 'RW',
      type: 'Disk',
      unpluggable: true,
      otherConfig: {},
      qosAlgorithmType: '',
      qosAlgorithmParams: {},
    } as const
    const vbd = await catalog.vbds.get(await createVbd(context, row))
    model.set(uuid, withDisk(vm, vbd!.userdevice, emptyDisk()))
  }
  if (kind === 'write' && device !== undefined && !isSnapshot) {
    await content.write(await vdiAt(content, uuid, device), step.at * unit, seed, unit)
    const bytes = Uint8Array.from(vm.disks.get(device)!)
    fillPattern(step.at * unit, bytes.subarray(step.at * unit, (step.at + 1) * unit), seed)
    model.set(uuid, withDisk(vm, device, bytes))
  }
  if (kind === 'detach' && device !== undefined && !isSnapshot) {
    const vdi = await vdiAt(content, uuid, device)
    const vbd = (await catalog.vbds.ofVm(uuid)).find(({ userdevice }) => userdevice === device)
    await catalog.vbds.destroy(vbd!.uuid)
    await catalog.vdis.destroy(vdi)
    model.set(uuid, withDisk(vm, device, undefined))
  }
  if (kind === 'destroyDisk' && device !== undefined) {
    await catalog.vdis.destroy(await vdiAt(content, uuid, device))
    model.set(uuid, withDisk(vm, device, undefined))
  }
  if (kind === 'snapshot' && !isSnapshot) {
    model.set(await snapshotVm(context, uuid, 's'), { ...vm, snapshotOf: uuid })
  }
  if (kind === 'revert' && vm.snapshotOf !== null) {
    await revertVm(context, uuid)
    model.set(vm.snapshotOf, { disks: vm.disks, snapshotOf: null })
  }
  if (kind === 'clone') model.set(await cloneVm(context, uuid, 'c'), { ...vm, snapshotOf: null })
  const places = [srUuid, otherSrUuid]
  if (kind === 'copy') {
    const request = { vmUuid: uuid, nameLabel: 'copy', srUuid: places[step.place]! }
    model.set(await copyVm(context, request, noTask), { ...vm, snapshotOf: null })
  }
  if (kind === 'destroy' && model.size > 1) {
    // With its disks, so that what is left can be counted.
    const vdis = (await catalog.vbds.ofVm(uuid)).map(({ vdiUuid }) => vdiUuid!)
    await destroyVm(context, uuid)
    for (const vdi of vdis) await catalog.vdis.destroy(vdi)
    model.delete(uuid)
  }
  if (kind === 'migrate' && !isSnapshot && !(await isShared(content, uuid))) {
    const [network] = await catalog.networks.list()
    const [user] = await catalog.users.list()
    const asked = { userUuid: user!.uuid, hostUuid: context.hostUuid, networkUuid: network!.uuid }
    const { secret } = await receiveVm(context, asked)
    const vdis = (await catalog.vbds.ofVm(uuid)).map(({ vdiUuid }) => vdiUuid!)
    const request = {
      vmUuid: uuid,
      dest: { master: 'http://127.0.0.1:1/', session_id: secret, host: context.hostUuid },
      srOfVdi: Object.fromEntries(vdis.map((vdi) => [vdi, places[step.place]!])),
      formatOfVdi: Object.fromEntries(vdis.map((vdi) => [vdi, step.format])),
      networkOfVif: {},
      copies: false,
      trust: {},
    }
    expect(await migrateVm(context, request, noTask)).toBe(uuid)
  }
}

/** Whether another VM has a disk or a snapshot of a disk that would move: refused by a move. */
const isShared = async ({ catalog }: TestContent, uuid: string): Promise<boolean> => {
  const own = new Set([uuid, ...(await catalog.vms.snapshotsOf(uuid)).map((vm) => vm.uuid)])
  for (const vm of own) {
    for (const { vdiUuid } of await catalog.vbds.ofVm(vm)) {
      const family = [vdiUuid!, ...(await catalog.vdis.snapshotsOf(vdiUuid!)).map((v) => v.uuid)]
      for (const vdi of family) {
        if ((await catalog.vbds.ofVdi(vdi)).some((vbd) => !own.has(vbd.vmUuid))) return true
      }
    }
  }
  return false
}

const expectModel = async (content: TestContent, model: Model): Promise<void> => {
  const { catalog } = content
  const vms = await catalog.vms.list()
  expect(vms.map(({ uuid }) => uuid).toSorted()).toEqual([...model.keys()].toSorted())
  for (const [uuid, { disks, snapshotOf }] of model) {
    const vbds = await catalog.vbds.ofVm(uuid)
    expect(vbds.map(({ userdevice }) => userdevice).toSorted()).toEqual(
      [...disks.keys()].toSorted(),
    )
    for (const [device, bytes] of disks) {
      const shown = await content.read(await vdiAt(content, uuid, device))
      expectSameBytes(shown.subarray(0, size), bytes)
    }
    expect((await catalog.vms.get(uuid))!.snapshotOfUuid).toBe(snapshotOf)
  }
}

const emptyAll = async (content: TestContent): Promise<void> => {
  const { catalog, storage, srUuid, otherSrUuid } = content
  for (const { uuid } of await catalog.vms.list()) await catalog.vms.destroy(uuid)
  for (const { uuid } of await catalog.vdis.list()) await catalog.vdis.destroy(uuid)
  for (const uuid of [srUuid, otherSrUuid]) storage.upkeep.collect(uuid)
  expect(await content.layers()).toEqual({ here: 0, there: 0 })
  expect(content.errors).toEqual([])
}

describe('any sequence of', () => {
  test('writes, snapshots, reverts, clones, copies and moves of VMs keeps what each shows', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const content = await createTestContent()
        const { uuid } = await content.catalog.vms.create({ nameLabel: 'first' })
        const model: Model = new Map([[uuid, { disks: new Map(), snapshotOf: null }]])
        for (const [index, step] of list.entries()) {
          await run(content, model, step, index + 1)
          await expectModel(content, model)
        }
        await emptyAll(content)
      }),
      { numRuns: 60 },
    )
  }, 120_000)
})
