// Looks through the L2 tables of a QCOW2 at rest for what an export would refuse: reserved bits,
// data past the end of the file. Called by scans of folders; reads no data.

import type { Image } from '../../image/image.ts'
import { MiB } from '../../units.ts'
import { createL2Scan } from './l2-cache.ts'
import { readTables } from './open.ts'
import { clustersOfTable, readClusterRuns } from './tables.ts'

const what = 'Cannot read qcow2'

/**
 * Bytes of tables that are read of one image: those of 256 GiB in clusters of 64 KiB. That is 512
 * reads, seconds on a cold disk; an image with more is looked at here and there.
 */
const maximumBytes = 32 * MiB

/** @throws AppError IMPORT_ERROR_GENERIC naming the first entry that cannot be read */
export const checkQcow2Tables = async (image: Image): Promise<void> => {
  const { header, l1 } = await readTables(image, what)
  const rules = { ...header, what }
  const read = createL2Scan(image, header.clusterSize)
  for (const table of chooseTables(l1, Math.floor(maximumBytes / header.clusterSize))) {
    const view = await read(table, l1[table]!)
    const { from, to } = clustersOfTable(table, header)
    const runs = readClusterRuns(view, table, from, to, rules)
    // Each run is checked when it is asked for.
    for (;;) if (runs.next().done === true) break
  }
}

/**
 * Numbers of L2 tables, ascending: all, or `maximum`. Of these a quarter are the last ones of the
 * file, next to which lies the data that a cut takes first; the others are spread over the disk.
 * @param l1 where each lies; 0 where there is none
 */
export const chooseTables = (l1: Float64Array, maximum: number): number[] => {
  const tables: number[] = []
  for (const [table, offset] of l1.entries()) if (offset > 0) tables.push(table)
  if (tables.length <= maximum) return tables
  const lastCount = Math.ceil(maximum / 4)
  const byOffset = tables.toSorted((a, b) => l1[a]! - l1[b]!)
  const others = byOffset.slice(0, -lastCount).toSorted((a, b) => a - b)
  const spreadCount = maximum - lastCount
  const spread = Array.from(
    { length: spreadCount },
    (_, index) => others[Math.floor((index * others.length) / spreadCount)]!,
  )
  return [...spread, ...byOffset.slice(-lastCount)].toSorted((a, b) => a - b)
}
