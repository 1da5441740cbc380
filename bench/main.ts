// The benchmark: exports, imports and moves of the real server beside qemu-img, nginx and curl, in
// one run.
// `npm run bench` measures; `npm run bench -- --short` only shows that it runs. Asserts no time.

import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { spawnServer, type TestServer } from '../test/support/spawn-server.ts'
import { destroyVdisExcept, formats, importDisk, listVdis, qemuName } from './client.ts'
import { compressedRowNames, measureCompressed } from './compressed.ts'
import { type DiskPlan, writeDisk } from './disks.ts'
import { measureMemory, memoryHead } from './memory.ts'
import { type Nginx, startNginx } from './nginx.ts'
import { measureMove, moveHead } from './moves.ts'
import { timed, versionOf } from './processes.ts'
import { requireRoom, roomFor } from './room.ts'
import { formatTable, megabytes, type Row } from './table.ts'
import {
  exportHead,
  importHead,
  measureExports,
  measureImports,
  type Subject,
} from './transfers.ts'

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB

const plans = (short: boolean): DiskPlan[] =>
  short
    ? [
        { name: 'scattered', size: GiB, dataSize: 64 * MiB },
        { name: 'dense', size: 64 * MiB, dataSize: 64 * MiB },
        { name: 'fragmented', size: 128 * MiB, dataSize: 64 * MiB, everySecond: 64 * KiB },
      ]
    : [
        { name: 'scattered', size: 5 * GiB, dataSize: 1.2 * GiB },
        { name: 'dense', size: 1.5 * GiB, dataSize: 1.5 * GiB },
        { name: 'fragmented', size: 2 * GiB, dataSize: GiB, everySecond: 64 * KiB },
      ]

const print = (text: string): void => void process.stdout.write(`${text}\n`)

/** Tries to install nginx with the script that installs the tools of the tests. */
const findNginx = (): string | undefined => {
  const script = resolve(import.meta.dirname, '../test/support/install-tools.sh')
  execFileSync('sh', [script, 'nginx:nginx'], { stdio: 'inherit' })
  const version = versionOf('nginx', '-v')
  if (version === undefined) print('SKIPPED: everything about nginx, which is not installed')
  return version
}

/** Writes a disk, makes an image of each format, and imports it; the VDI and its layer. */
const prepareSubject = async (
  server: TestServer,
  folder: string,
  plan: DiskPlan,
): Promise<Subject> => {
  const raw = join(folder, `${plan.name}.raw`)
  const { extents, bytes } = await writeDisk(raw, plan)
  print(`${plan.name}: ${megabytes(plan.size)} with ${megabytes(bytes)} in ${extents} stretches`)
  for (const format of formats) {
    if (format === 'raw') continue
    // The size that the raw disk has, not the cylinders that VHD would make of it.
    const options = format === 'vhd' ? ['-o', 'force_size=on'] : []
    const target = join(folder, `${plan.name}.${format}`)
    const args = ['-f', 'raw', '-O', qemuName(format), ...options, raw, target]
    await timed('qemu-img', ['convert', ...args])
  }
  const before = await listVdis(server)
  const layersBefore = await listLayers(server)
  await importDisk(server, join(folder, `${plan.name}.qcow2`), 'qcow2')
  const [uuid] = (await listVdis(server)).filter((found) => !before.includes(found))
  const [layer] = (await listLayers(server)).filter((found) => !layersBefore.includes(found))
  return { disk: plan.name, uuid: uuid!, layer: layer! }
}

const listLayers = async ({ dataFolder }: TestServer): Promise<string[]> =>
  (await readdir(dataFolder, { recursive: true }))
    .filter((path) => /^sr\/[^/]+\/[^/]+\.qcow2$/.test(path))
    .map((path) => join(dataFolder, path))

/** The files of a disk, once it has been measured. */
const removeSources = async (folder: string, plan: DiskPlan): Promise<void> => {
  for (const format of formats) await rm(join(folder, `${plan.name}.${format}`))
}

/** Of a fragmented disk only what fragments cost: its export beside the same file by nginx. */
const rowNames = (plan: DiskPlan): string[] =>
  plan.everySecond === undefined ? allRowNames(plan) : [`export ${plan.name} qcow2`]

const allRowNames = (plan: DiskPlan): string[] => [
  ...['export', 'import'].flatMap((way) =>
    formats.map((format) => `${way} ${plan.name} ${format}`),
  ),
  `move ${plan.name}`,
]

const compressedSize = (short: boolean): number => (short ? 32 * MiB : 512 * MiB)

const memoryDataSize = (short: boolean): number => (short ? 16 * MiB : 512 * MiB)

const measure = async (folder: string, short: boolean, only: string): Promise<void> => {
  const isWanted = (row: string): boolean => row.includes(only)
  const wanted = plans(short).filter((plan) => rowNames(plan).some(isWanted))
  const rows = new Set([...wanted.flatMap(rowNames), ...compressedRowNames].filter(isWanted))
  if (rows.size === 0 && !isWanted('memory')) throw new Error(`No row is named ${only}`)
  const needed = roomFor(wanted, {
    memory: isWanted('memory') ? memoryDataSize(short) : 0,
    compressed: compressedRowNames.some(isWanted) ? compressedSize(short) : 0,
  })
  await requireRoom(folder, needed)
  print(`needs up to ${megabytes(needed)} there`)
  const rounds = short ? 1 : 4
  const nginxVersion = findNginx()
  const peers = [versionOf('qemu-img'), nginxVersion, versionOf('curl')?.split(' (')[0]]
  print(`Node ${process.version}, ${peers.filter((name) => name !== undefined).join(', ')}`)
  print(`${cpus().length} processors (${cpus()[0]?.model}), ${megabytes(totalmem())} of memory`)

  const server = await spawnServer({ dataFolder: join(folder, 'data') })
  let nginx: Nginx | undefined
  try {
    nginx = nginxVersion === undefined ? undefined : await startNginx(folder, folder)
    const bench = { server, nginx, folder, rounds, isWanted: (row: string) => rows.has(row) }
    const exports: Row[] = []
    const imports: Row[] = []
    const moves: Row[] = []
    for (const plan of wanted) {
      const subject = await prepareSubject(server, folder, plan)
      exports.push(...(await measureExports(bench, subject)))
      imports.push(...(await measureImports(bench, plan.name)))
      moves.push(...(await measureMove(bench, subject)))
      await destroyVdisExcept(server, [])
      await removeSources(folder, plan)
    }
    imports.push(...(await measureCompressed(bench, compressedSize(short))))
    print(`\nPairs with each peer: ${rounds}. Medians; lowest and highest in brackets.\n`)
    if (exports.length > 0) print(formatTable(exportHead, exports))
    if (imports.length > 0) print(formatTable(importHead, imports))
    if (moves.length > 0) print(formatTable(moveHead, moves))
  } finally {
    await nginx?.stop()
    await server.stop()
  }
  if (isWanted('memory')) {
    print(formatTable(memoryHead, await measureMemory(folder, memoryDataSize(short))))
  }
}

const { short, dir, only } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    dir: { type: 'string', default: tmpdir() },
    only: { type: 'string', default: '' },
  },
}).values
const folder = await mkdtemp(join(resolve(dir), 'diskport-bench-'))
print(`in ${folder}, which is removed at the end`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    // The last to run at exit: server and nginx have been killed by then.
    process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }))
    process.exit(1)
  })
}
try {
  await measure(folder, short, only)
} finally {
  await rm(folder, { recursive: true, force: true })
}
