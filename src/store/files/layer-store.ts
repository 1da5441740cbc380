// The store of layers as image files in a folder: staging, seal, publish. The same for files of the
// file system and for memory.

import type { BlockMap } from '../../disk/block-map.ts'
import { collectBlockMap } from '../../disk/block-map.ts'
import type { Disk } from '../../disk/disk.ts'
import { StorageError } from '../../errors.ts'
import type { LayerWriter } from '../../formats/format.ts'
import { formats, layerFormatOf } from '../../formats/registry.ts'
import type { Image } from '../../image/image.ts'
import { padToSectors } from '../../image/padded-image.ts'
import { asDamage, reportDamage } from './damage.ts'
import { changesBetween, ChangedFileError, parseStamp, takeStamp } from './file-stamp.ts'
import { readForeignMap } from './foreign-map.ts'
import type { LayerFolder } from './layer-folder.ts'
import {
  clearStaging,
  fitsSidecar,
  hasSidecar,
  mapState,
  markNewer,
  openWithMap,
  readSidecar,
  sidecarName,
  stageSidecar,
} from './map-sidecar.ts'
import type { StartedFile } from './replace-layer.ts'
import { createReplacement } from './replace-layer.ts'
import type { LayerDisk, LayerDraft, LayerId, NewLayerOptions, Store } from './store.ts'
import { layerFileName } from './store.ts'
import { watchImage } from './watch-image.ts'

export const createLayerStore = (folder: LayerFolder): Store => ({
  openLayer: (layer) => openLayer(folder, layer),
  openSpool: () => folder.openSpool(),
  space: () => folder.space(),
  files: folder,
  clearStaging: () => clearStaging(folder),

  async readMap(layer) {
    if (!layer.hasData) return readKeptMap(folder, layer, layer.virtualSize)
    const disk = await openLayer(folder, layer)
    try {
      const map = await collectBlockMap(disk)
      // A map that was read while the file changed is not valid.
      await disk.verify?.()
      return map
    } finally {
      await disk.close()
    }
  },

  async keepMap(layer, map) {
    if (await hasSidecar(folder, layer)) return
    try {
      await stageSidecar(folder, layer, map)
      await folder.publish(sidecarName(layer))
    } catch (error) {
      await folder.remove(sidecarName(layer))
      throw error
    }
  },

  removeData: (layer) => folder.remove(layerFileName(layer)),

  async removeLayer(layer) {
    await folder.remove(layerFileName(layer))
    await folder.remove(sidecarName(layer))
  },

  async createLayer(layer, options) {
    const { file, writer } = await startFile(folder, layer, options)
    let ended = false
    const draft: LayerDraft = {
      ...writerOf(writer),
      async seal(size) {
        await writer.seal(size)
        await file.sync()
        if (layer.format === 'raw') {
          // Its holes are still those of the writer. One that is too long is left to the file
          // system.
          const map = await collectBlockMap(await formats.raw.open(file))
          if (fitsSidecar(map)) {
            await stageSidecar(folder, layer, map)
            await folder.publish(sidecarName(layer))
          }
        }
        await file.close()
        const bytes = await folder.publish(layerFileName(layer))
        ended = true
        if (layer.format === 'raw') await markNewer(folder, layer)
        return bytes
      },
      async abort() {
        if (ended) return
        ended = true
        await file.close()
        await folder.remove(layerFileName(layer))
        if (layer.format === 'raw') await folder.remove(sidecarName(layer))
      },
    }
    return draft
  },

  async replaceLayer(layer, options) {
    const started = await startFile(folder, layer, { ...options, keepsZeros: true })
    return { ...writerOf(started.writer), ...createReplacement(folder, layer, started) }
  },
})

/** The members of a LayerWriter that others may call. */
const writerOf = (writer: LayerWriter) => ({
  size: writer.size,
  write: (offset: number, source: Uint8Array, signal?: AbortSignal) =>
    writer.write(offset, source, signal),
  zero: (offset: number, length: number, signal?: AbortSignal) =>
    writer.zero(offset, length, signal),
})

const startFile = async (
  folder: LayerFolder,
  layer: LayerId,
  options: NewLayerOptions,
): Promise<StartedFile> => {
  const fileName = layerFileName(layer)
  const file = await folder.create(fileName)
  try {
    const writer = await layerFormatOf(layer.format).createLayer(file, {
      ...options,
      uuid: layer.uuid,
    })
    return { file, writer }
  } catch (error) {
    await file.close()
    await folder.discard(fileName)
    throw error
  }
}

const openLayer = async (folder: LayerFolder, layer: LayerId): Promise<LayerDisk> => {
  const fileName = layerFileName(layer)
  const file = await folder.open(fileName).catch((error: unknown) => {
    throw asDamage(error, fileName)
  })
  if (file === undefined) {
    if (isOfOthers(layer)) throw new ChangedFileError(fileName, 'it is gone')
    throw new StorageError(`Cannot open the layer ${fileName}: the file is missing`)
  }
  try {
    const disk = isOfOthers(layer)
      ? await openWatched(folder, layer, file)
      : await openImage(folder, layer, file)
    return reportDamage(disk, fileName)
  } catch (error) {
    await file.close()
    throw asDamage(error, fileName)
  }
}

const readKeptMap = async (folder: LayerFolder, layer: LayerId, size: number) => {
  const map = await readSidecar(folder, layer, size).catch((error: unknown) => {
    throw asDamage(error, sidecarName(layer))
  })
  if (map !== undefined) return map
  throw new StorageError(
    `Cannot read what the layer ${layerFileName(layer)} held: ${sidecarName(layer)} is missing`,
  )
}

const openImage = async (folder: LayerFolder, layer: LayerId, image: Image): Promise<Disk> => {
  const disk = await formats[layer.format].open(image)
  const map = isOfOthers(layer)
    ? await mapOfOthers(folder, layer, image)
    : await readSidecar(folder, layer, disk.size)
  return map === undefined ? disk : openWithMap(disk, map)
}

/** What others may have put beside a file of theirs is for raw ones only. */
const mapOfOthers = async (
  folder: LayerFolder,
  layer: LayerId,
  image: Image,
): Promise<BlockMap | undefined> => {
  const found = layer.format === 'raw' ? await readForeignMap(folder, layer, image) : undefined
  return found !== undefined && 'map' in found ? found.map : undefined
}

type LayerOfOthers = LayerId & { readonly fileStamp: string }

const isOfOthers = (layer: LayerId): layer is LayerOfOthers =>
  layer.fileStamp !== null && layer.fileStamp !== undefined

/** @throws ChangedFileError where the file is another than its stamp says */
const openWatched = async (
  folder: LayerFolder,
  layer: LayerOfOthers,
  file: Image,
): Promise<LayerDisk> => {
  const fileName = layerFileName(layer)
  const stamp = parseStamp(layer.fileStamp)
  const changes = changesBetween(stamp, await takeStamp(file, await mapState(folder, layer)))
  if (changes !== undefined) throw new ChangedFileError(fileName, changes)
  const { image, verify } = watchImage(file, fileName, stamp)
  try {
    const whole = layer.format === 'raw' ? padToSectors(image) : image
    return { ...(await openImage(folder, layer, whole)), verify }
  } catch (error) {
    // One that is written at this moment is not damaged.
    await verify()
    throw error
  }
}
