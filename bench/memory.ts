// Peak memory of a fresh server for a disk of 2 GiB and one of 2 TiB that hold the same amount of
// data.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { spawnServer } from '../test/support/spawn-server.ts'
import { exportDisk, importDisk, listVdis } from './client.ts'
import { writeDisk } from './disks.ts'
import { timed } from './processes.ts'
import { megabytes, type Row } from './table.ts'

const GiB = 1024 ** 3

export const memoryHead: Row = ['sparse disk', 'after start', 'after import', 'after export']

/** Imports as QCOW2; exports QCOW2 and the first GiB of raw. */
export const measureMemory = async (folder: string, dataSize: number): Promise<Row[]> => {
  const rows: Row[] = []
  for (const [name, size] of [
    ['2 GiB', 2 * GiB],
    ['2 TiB', 2048 * GiB],
  ] as const) {
    const raw = join(folder, 'sparse.raw')
    const image = join(folder, 'sparse.qcow2')
    const dataFolder = join(folder, 'sparse-data')
    const { bytes } = await writeDisk(raw, { name, size, dataSize })
    await timed('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image])
    const server = await spawnServer({ dataFolder })
    const peaks = [await server.peakMemory()]
    await importDisk(server, image, 'qcow2')
    peaks.push(await server.peakMemory())
    const [uuid] = await listVdis(server)
    await exportDisk(server, uuid!, 'qcow2')
    await exportDisk(server, uuid!, 'raw', ['-r', `0-${GiB - 1}`])
    peaks.push(await server.peakMemory())
    await server.stop()
    for (const path of [raw, image, dataFolder]) await rm(path, { recursive: true })
    rows.push([`${name}, ${megabytes(bytes)} of data`, ...peaks.map(megabytes)])
  }
  return rows
}
