// The block map beside a raw layer: `<uuid>.raw.map.json`, in the form of `qemu-img map`. A raw file
// loses its holes when it is copied; the sidecar does not. Without one the file system is asked.

import type { BlockMap } from '../disk/block-map.ts'
import { collectBlockMap } from '../disk/block-map.ts'
import { MAXIMUM_MAP_ENTRIES, readBlockMapJson, writeBlockMapJson } from '../disk/block-map-json.ts'
import type { Disk } from '../disk/disk.ts'
import { rangeWithin } from '../disk/disk.ts'
import { coalesce } from '../disk/extents.ts'
import { AppError } from '../errors.ts'
import { raw } from '../formats/raw/raw.ts'
import type { FileState, Image } from '../image/image.ts'
import { KiB } from '../units.ts'
import { parseStamp } from './file-stamp.ts'
import type { LayerFolder } from './layer-folder.ts'
import type { LayerId, StoreFiles } from './store.ts'
import { layerFileName } from './store.ts'

/** Bytes of JSON gathered before they are written, and read at once. */
const pieceSize = 256 * KiB

export const sidecarName = (layer: LayerId): string => `${layerFileName(layer)}.map.json`

/**
 * Writes and publishes the map of a raw file that is complete: its holes are still those of the writer. None is
 * written that would be too long to be read again: the file system is asked then.
 */
export const writeSidecar = async (
  folder: LayerFolder,
  layer: LayerId,
  file: Image,
): Promise<void> => {
  const name = sidecarName(layer)
  const map = await collectBlockMap(await raw.open(file))
  if (map.runCount > MAXIMUM_MAP_ENTRIES) return
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
  await folder.publish(name)
}

/** The map beside a raw layer as a file; undefined where there is none. */
export const mapState = async (
  folder: StoreFiles,
  layer: LayerId,
): Promise<FileState | undefined> =>
  layer.format === 'raw' ? folder.state(sidecarName(layer)) : undefined

/**
 * The map of a raw layer of `size` bytes; undefined where there is no sidecar, or one that was written before a file
 * that others may change.
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
    if (isOutdated(layer, await sidecar.state?.())) return undefined
    const map = await readBlockMapJson(piecesOf(sidecar), size)
    for (const { depth } of map.runs()) if (depth > 0) throw notOneFile(layer, depth)
    return map
  } finally {
    await sidecar.close()
  }
}

const isOutdated = ({ fileStamp }: LayerId, state: FileState | undefined): boolean => {
  if (fileStamp === null || fileStamp === undefined || state === undefined) return false
  return state.changedAt < BigInt(parseStamp(fileStamp).changedAt)
}

const notOneFile = (layer: LayerId, depth: number): AppError =>
  new AppError('IMPORT_ERROR_GENERIC', [
    `Cannot use the block map ${sidecarName(layer)}: it tells of a file ${depth} below, a raw file lies on none`,
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
  close: () => disk.close(),
})
