// The block map beside a raw file of others: believed only while it provably belongs to that file.
// It may be left from another file that had the name before, and would then show zeros where there
// is data.

import { setImmediate } from 'node:timers/promises'
import type { BlockMap } from '../../disk/block-map.ts'
import type { FileState, Image } from '../../image/image.ts'
import { parseSidecar, sidecarName } from './map-sidecar.ts'
import type { LayerId, StoreFiles } from './store.ts'

/** The number of extents of a file that are compared with its map: a second or two. */
const maximumStretches = 1024 * 1024

/** Other requests get a turn after this many of them. */
const stretchesAtOnce = 4096

type ForeignMap = { readonly map: BlockMap } | { readonly distrust: string }

/**
 * @param file the raw file, in whole sectors
 * @returns the map, or why it is not believed; undefined where there is none
 * @throws AppError IMPORT_ERROR_GENERIC for one that does not fit the file
 */
export const readForeignMap = async (
  folder: StoreFiles,
  layer: LayerId,
  file: Image,
): Promise<ForeignMap | undefined> => {
  const sidecar = await folder.open(sidecarName(layer))
  if (sidecar === undefined) return undefined
  try {
    const age = whyOutdated(await file.state?.(), await sidecar.state?.())
    if (age !== undefined) return { distrust: age }
    const map = await parseSidecar(layer, sidecar, file.size)
    const distrust = await findContradiction(file, map)
    return distrust === undefined ? { map } : { distrust }
  } finally {
    await sidecar.close()
  }
}

/**
 * A file that was copied or moved under an old map keeps its old mtime, but not its ctime. The map
 * must have been written, and left alone, since then: its mtime alone could be set ahead.
 */
const whyOutdated = (
  file: FileState | undefined,
  map: FileState | undefined,
): string | undefined => {
  if (file === undefined || map === undefined) return 'nobody can say how old it is'
  const isOld = map.changedAt < file.inodeChangedAt || map.inodeChangedAt < file.inodeChangedAt
  if (!isOld) return undefined
  const [written, changed] = [map.changedAt, file.inodeChangedAt].map(timeOf)
  return `it was written at ${written}, and the file was last changed, moved or copied at ${changed}`
}

const timeOf = (nanoseconds: bigint): string =>
  new Date(Number(nanoseconds / 1_000_000n)).toISOString()

/**
 * Where the map tells of zeros and the file system holds data: it may be the map of another file.
 */
const findContradiction = async (file: Image, map: BlockMap): Promise<string | undefined> => {
  if (file.extents === undefined) return 'this storage cannot say where the file holds data'
  const cursor = map.cursor()
  let start = 0
  let stretches = 0
  for await (const { kind, offset, length } of file.extents()) {
    if (kind !== 'data') continue
    stretches += 1
    if (stretches > maximumStretches) {
      return `the file has more than ${maximumStretches} stretches of data, too many to compare`
    }
    if (stretches % stretchesAtOnce === 0) await setImmediate()
    for (;;) {
      if (cursor.end > offset && cursor.kind !== 'data') {
        return `it tells of zeros at byte ${Math.max(start, offset)}, where the file holds data`
      }
      if (cursor.end >= offset + length) break
      start = cursor.end
      cursor.next()
    }
  }
  return undefined
}
