// The comparisons: exports against qemu-img and nginx, imports against qemu-img.

import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestServer } from '../test/support/spawn-server.ts'
import type { Format } from './client.ts'
import {
  destroyVdisExcept,
  exportDisk,
  exportSize,
  fetchAway,
  formats,
  importDisk,
  listVdis,
  putAway,
  qemuName,
} from './client.ts'
import { comparePairs, type Contender, median, type Pair } from './measure.ts'
import type { Nginx } from './nginx.ts'
import { timed } from './processes.ts'
import { megabytes, rate, ratio, type Row } from './table.ts'

export interface Bench {
  readonly server: TestServer
  /** Undefined where nginx is not installed. */
  readonly nginx: Nginx | undefined
  /** Holds `<disk>.<format>` for each disk and format, made by qemu-img; nginx serves it. */
  readonly folder: string
  readonly rounds: number
  /** Whether a row is to be measured, by its name: `export scattered raw`. */
  isWanted(row: string): boolean
}

/**
 * What to move: the VDI that holds it and its layer, from which qemu-img reads the same content.
 */
export interface Subject {
  readonly disk: string
  readonly uuid: string
  readonly layer: string
}

/** A `qemu-img convert` into a file that is removed before and after. */
const convertContender = (
  name: string,
  folder: string,
  from: readonly [path: string, format: Format],
  to: Format,
  options: readonly string[] = [],
): Contender => {
  const target = join(folder, 'converted')
  const clear = (): Promise<void> => rm(target, { force: true })
  const [path, format] = from
  const formatArgs = ['-f', qemuName(format), '-O', qemuName(to)]
  return {
    name,
    prepare: clear,
    run: () => timed('qemu-img', ['convert', ...formatArgs, ...options, path, target]),
    cleanUp: clear,
  }
}

/** Seconds of diskport: the median over the pairs with all peers. */
const ownSeconds = (pairs: ReadonlyMap<string, readonly Pair[]>): number | undefined =>
  median([...pairs.values()].flat().map(({ own }) => own))

/** Seconds of a peer; undefined if it did not run. */
const peerSeconds = (pairs: readonly Pair[] | undefined): number | undefined =>
  median((pairs ?? []).map(({ peer }) => peer))

const sizeOf = async (path: string): Promise<number> => (await stat(path)).size

export const exportHead: Row = [
  'export (MB/s of the file)',
  'diskport',
  'qemu-img',
  'qemu-img -S 0',
  'nginx',
  'to qemu-img',
  'to nginx',
  'peak RSS',
]

/** A row for each format: rates, and diskport's rate as a multiple of its peers'. */
export const measureExports = async (bench: Bench, subject: Subject): Promise<Row[]> => {
  const { server, nginx, folder, rounds } = bench
  const { disk, uuid, layer } = subject
  const rows: Row[] = []
  for (const format of formats) {
    if (!bench.isWanted(`export ${disk} ${format}`)) continue
    await server.forgetPeakMemory()
    const ours = { name: 'diskport', run: () => exportDisk(server, uuid, format) }
    const peers = [convertContender('qemu-img', folder, [layer, 'qcow2'], format)]
    if (format === 'raw') {
      peers.push(convertContender('dense', folder, [layer, 'qcow2'], format, ['-S', '0']))
    }
    if (nginx !== undefined) {
      const url = `${nginx.url}/${disk}.${format}`
      peers.push({ name: 'nginx', run: () => fetchAway(url) })
    }
    const pairs = await comparePairs(ours, peers, rounds)
    const ready = await sizeOf(join(folder, `${disk}.${format}`))
    const size = await exportSize(server, uuid, format)
    const compareTo = (name: string): number[] =>
      (pairs.get(name) ?? []).map(({ own, peer }) => size / own / (ready / peer))
    rows.push([
      `${disk} ${format}, ${megabytes(size)}`,
      rate(size, ownSeconds(pairs)),
      rate(ready, peerSeconds(pairs.get('qemu-img'))),
      rate(ready, peerSeconds(pairs.get('dense'))),
      rate(ready, peerSeconds(pairs.get('nginx'))),
      ratio(compareTo('qemu-img')),
      ratio(compareTo('nginx')),
      megabytes(await server.peakMemory()),
    ])
  }
  return rows
}

export const importHead: Row = [
  'import (MB/s of the file)',
  'diskport',
  'qemu-img',
  'and flush',
  'nginx PUT',
  'time to qemu-img',
  'and flush',
  'to nginx',
  'peak RSS',
]

/** A row for each format. */
export const measureImports = async (bench: Bench, disk: string): Promise<Row[]> => {
  const rows: Row[] = []
  for (const format of formats) {
    if (!bench.isWanted(`import ${disk} ${format}`)) continue
    const file = `${disk}.${format}`
    rows.push(await measureImport(bench, `${disk} ${format}`, { file, format }))
  }
  return rows
}

/**
 * Rates, and the time of diskport as a multiple of qemu-img's.
 * @param source a file in the folder of the benchmark
 */
export const measureImport = async (
  { server, nginx, folder, rounds }: Bench,
  label: string,
  { file, format }: { readonly file: string; readonly format: Format },
): Promise<Row> => {
  const kept = await listVdis(server)
  const source = join(folder, file)
  await server.forgetPeakMemory()
  const ours = {
    name: 'diskport',
    run: () => importDisk(server, source, format),
    cleanUp: () => destroyVdisExcept(server, kept),
  }
  const peers = [
    convertContender('qemu-img', folder, [source, format], 'qcow2'),
    convertContender('flushed', folder, [source, format], 'qcow2', ['-t', 'writeback']),
  ]
  if (nginx !== undefined) {
    const url = `${nginx.url}/put/${file}`
    const clear = (): Promise<void> => rm(join(folder, 'put'), { recursive: true, force: true })
    peers.push({ name: 'nginx', run: () => putAway(url, source), cleanUp: clear })
  }
  const pairs = await comparePairs(ours, peers, rounds)
  const size = await sizeOf(source)
  const compareTo = (name: string): number[] =>
    (pairs.get(name) ?? []).map(({ own, peer }) => own / peer)
  return [
    `${label}, ${megabytes(size)}`,
    rate(size, ownSeconds(pairs)),
    rate(size, peerSeconds(pairs.get('qemu-img'))),
    rate(size, peerSeconds(pairs.get('flushed'))),
    rate(size, peerSeconds(pairs.get('nginx'))),
    ratio(compareTo('qemu-img')),
    ratio(compareTo('flushed')),
    ratio(compareTo('nginx')),
    megabytes(await server.peakMemory()),
  ]
}
