// The block map beside a layer: `<file>.map.json`, in the form of `qemu-img map`. Where there is
// one, it goes before what the file says: a raw file loses its holes when it is copied, a merged
// layer holds what its format cannot tell (merge-run.ts), and of a layer without data the map is
// all that is left.

import type { BlockMap } from '../../disk/block-map.ts'
import {
  MAXIMUM_MAP_ENTRIES,
  readBlockMapJson,
  writeBlockMapJson,
} from '../../disk/block-map-json.ts'
import type { Disk } from '../../disk/disk.ts'
import { rangeWithin } from '../../disk/disk.ts'
import { coalesce } from '../../disk/extents.ts'
import { readRanges } from '../../disk/read-ranges.ts'
import { AppError } from '../../errors.ts'
import type { FileState, Image } from '../../image/image.ts'
import { KiB } from '../../units.ts'
import type { LayerFolder } from './layer-folder.ts'
import type { LayerId, StoreFiles } from './store.ts'
import { layerFileName } from './store.ts'

/** Bytes of JSON gathered before they are written, and read at once. */
const pieceSize = 256 * KiB

const suffix = '.map.json'
const nextSuffix = `${suffix}.next`

export const sidecarName = (layer: LayerId): string => `${layerFileName(layer)}${suffix}`

/**
 * In staging: of a new file for a layer that has one already. It counts once that one is in place.
 */
export const nextSidecarName = (layer: LayerId): string => `${layerFileName(layer)}${nextSuffix}`

/**
 * Clears staging after a crash. A map that was to follow its file into place, and whose file has
 * left staging, follows it now.
 */
export const clearStaging = async (folder: LayerFolder): Promise<void> => {
  const names = await folder.listStaging()
  const isNext = (name: string): boolean => name.endsWith(nextSuffix)
  for (const name of names.filter(isNext)) {
    const fileName = name.slice(0, -nextSuffix.length)
    if (!names.includes(fileName)) await folder.publish(name, `${fileName}${suffix}`)
  }
  // The maps first: one without its file would look as if that were in place.
  for (const name of names.filter(isNext)) await folder.discard(name)
  for (const name of names) await folder.discard(name)
}

/** Whether a map is short enough to be read again. */
export const fitsSidecar = (map: BlockMap): boolean => map.runCount <= MAXIMUM_MAP_ENTRIES

/**
 * Writes the map into staging, synced: `folder.publish` makes it count.
 * @throws AppError INTERNAL_ERROR for one that is too long to be read again
 */
export const stageSidecar = async (
  folder: LayerFolder,
  layer: LayerId,
  map: BlockMap,
  name = sidecarName(layer),
): Promise<void> => {
  if (!fitsSidecar(map)) {
    const found = `it has ${map.runCount} stretches, at most ${MAXIMUM_MAP_ENTRIES} can be read again`
    throw new AppError('INTERNAL_ERROR', [`Cannot keep the block map ${name}: ${found}`])
  }
  const sidecar = await folder.create(name)
  try {
    let piece = ''
    for (const line of writeBlockMapJson(map)) {
      piece += line
      if (piece.length < pieceSize) continue
      await sidecar.write(sidecar.size, Buffer.from(piece))
      piece = ''
    }
    await sidecar.write(sidecar.size, Buffer.from(piece))
    await sidecar.sync()
  } finally {
    await sidecar.close()
  }
}

/**
 * The map lies beside its file now, which was moved there after it. Should the storage repository
 * be forgotten and found again, a map counts only if it is no older than its file (foreign-map.ts);
 * without it the content is the same.
 */
export const markNewer = (folder: LayerFolder, layer: LayerId): Promise<void> =>
  folder.touch(sidecarName(layer)).catch(() => {})

/** The map beside a raw layer as a file; undefined where there is none. */
export const mapState = async (
  folder: StoreFiles,
  layer: LayerId,
): Promise<FileState | undefined> =>
  layer.format === 'raw' ? folder.state(sidecarName(layer)) : undefined

/**
 * The map of a layer of ours, of `size` bytes; undefined where there is no sidecar.
 * @throws AppError IMPORT_ERROR_GENERIC for one that does not fit the file
 */
export const readSidecar = async (
  folder: StoreFiles,
  layer: LayerId,
  size: number,
): Promise<BlockMap | undefined> => {
  const sidecar = await folder.open(sidecarName(layer))
  if (sidecar === undefined) return undefined
  try {
    return await parseSidecar(layer, sidecar, size)
  } finally {
    await sidecar.close()
  }
}

/** @throws AppError IMPORT_ERROR_GENERIC for a map that does not fit the layer of `size` bytes */
export const parseSidecar = async (
  layer: LayerId,
  sidecar: Image,
  size: number,
): Promise<BlockMap> => {
  const map = await readBlockMapJson(piecesOf(sidecar), size)
  for (const { depth } of map.runs()) if (depth > 0) throw notOneFile(layer, depth)
  return map
}

export const hasSidecar = async (folder: LayerFolder, layer: LayerId): Promise<boolean> => {
  const sidecar = await folder.open(sidecarName(layer))
  await sidecar?.close()
  return sidecar !== undefined
}

const notOneFile = (layer: LayerId, depth: number): AppError =>
  new AppError('IMPORT_ERROR_GENERIC', [
    `Cannot use the block map ${sidecarName(layer)}: it tells of a file ${depth} below, and not of this one alone`,
  ])

async function* piecesOf(image: Image): AsyncGenerator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < image.size; offset += pieceSize) {
    const piece = new Uint8Array(Math.min(pieceSize, image.size - offset))
    await image.read(offset, piece)
    yield piece
  }
}

/** `disk`, with the extents that `map` tells. */
export const openWithMap = (disk: Disk, map: BlockMap): Disk => ({
  size: disk.size,
  extents: (range) => coalesce(map.runs(rangeWithin(disk.size, range))),
  read: (offset, target, signal) => disk.read(offset, target, signal),
  readRanges: (ranges, target, signal) => readRanges(disk, ranges, target, signal),
  close: () => disk.close(),
})
