// A VM that is copied to a second server, beside what a person would do without: a download piped
// into an upload, by curl.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { login } from '../test/support/json-rpc.ts'
import { spawnServer, type TestServer } from '../test/support/spawn-server.ts'
import { destroyVdisExcept, exportSize, pipeDisk } from './client.ts'
import { comparePairs, median } from './measure.ts'
import { megabytes, rate, ratio, type Row } from './table.ts'
import type { Bench, Subject } from './transfers.ts'

export const moveHead: Row = [
  'move (MB/s of the QCOW2 image)',
  'diskport',
  'curl | curl',
  'time to curl',
  'peak RSS here',
  'and there',
]

export const measureMove = async (bench: Bench, { disk, uuid }: Subject): Promise<Row[]> => {
  const { server, folder, rounds } = bench
  if (!bench.isWanted(`move ${disk}`)) return []
  const dataFolder = join(folder, 'there')
  const there = await spawnServer({ dataFolder })
  try {
    const vm = await createVm(server, uuid)
    for (const side of [server, there]) await side.forgetPeakMemory()
    const cleanUp = (): Promise<void> => empty(there)
    const ours = { name: 'diskport', run: () => copyVm(server, there, vm), cleanUp }
    const run = () => pipeDisk(server, uuid, there, 'qcow2')
    const pairs = await comparePairs(ours, [{ name: 'curl', run, cleanUp }], rounds)
    const size = await exportSize(server, uuid, 'qcow2')
    const all = pairs.get('curl') ?? []
    const row = [
      `${disk}, ${megabytes(size)}`,
      rate(size, median(all.map(({ own }) => own))),
      rate(size, median(all.map(({ peer }) => peer))),
      ratio(all.map(({ own, peer }) => own / peer)),
      megabytes(await server.peakMemory()),
      megabytes(await there.peakMemory()),
    ]
    await (
      await login(server)
    )('VM.destroy', vm)
    return [row]
  } finally {
    await there.stop()
    await rm(dataFolder, { recursive: true, force: true })
  }
}

const createVm = async (server: TestServer, uuid: string): Promise<string> => {
  const rpc = await login(server)
  const vm = await rpc<string>('VM.create', { name_label: 'bench' })
  const vdi = await rpc<string>('VDI.get_by_uuid', uuid)
  await rpc('VBD.create', { VM: vm, VDI: vdi, userdevice: '0' })
  return vm
}

/** Seconds until it is committed there. */
const copyVm = async (server: TestServer, there: TestServer, vm: string): Promise<number> => {
  const [here, far] = [await login(server), await login(there)]
  const [host] = await far<string[]>('host.get_all')
  const [network] = await far<string[]>('network.get_all')
  const dest = await far('host.migrate_receive', host, network, {})
  const begin = performance.now()
  await here('VM.migrate_send', vm, dest, false, {}, {}, { copy: 'true' })
  return (performance.now() - begin) / 1000
}

const empty = async (server: TestServer): Promise<void> => {
  const rpc = await login(server)
  for (const vm of await rpc<string[]>('VM.get_all')) await rpc('VM.destroy', vm)
  await destroyVdisExcept(server, [])
}
