// The store of layers as image files in a folder: staging, seal, publish. The same for files of the
// file system and for memory.

import type { Disk } from '../disk/disk.ts'
import { AppError } from '../errors.ts'
import { formats } from '../formats/registry.ts'
import type { Image } from '../image/image.ts'
import { padToSectors } from '../image/padded-image.ts'
import { changesBetween, ChangedFileError, parseStamp, takeStamp } from './file-stamp.ts'
import type { LayerFolder } from './layer-folder.ts'
import { mapState, openWithMap, readSidecar, sidecarName, writeSidecar } from './raw-sidecar.ts'
import type { LayerDisk, LayerDraft, LayerId, Store } from './store.ts'
import { layerFileName } from './store.ts'
import { watchImage } from './watch-image.ts'

export const createLayerStore = (folder: LayerFolder): Store => ({
  openLayer: (layer) => openLayer(folder, layer),
  openSpool: () => folder.openSpool(),
  usage: () => folder.usage(),
  files: folder,

  async removeLayer(layer) {
    await folder.remove(layerFileName(layer))
    if (layer.format === 'raw') await folder.remove(sidecarName(layer))
  },

  async createLayer(layer, options) {
    const fileName = layerFileName(layer)
    const file = await folder.create(fileName)
    const discard = async (): Promise<void> => {
      await file.close()
      await folder.remove(fileName)
    }
    try {
      const writer = await formats[layer.format].createLayer(file, { ...options, uuid: layer.uuid })
      let ended = false
      const draft: LayerDraft = {
        size: writer.size,
        write: (offset, source, signal) => writer.write(offset, source, signal),
        zero: (offset, length, signal) => writer.zero(offset, length, signal),
        async seal() {
          await writer.seal()
          await file.sync()
          if (layer.format === 'raw') await writeSidecar(folder, layer, file)
          await file.close()
          const bytes = await folder.publish(fileName)
          ended = true
          return bytes
        },
        async abort() {
          if (ended) return
          ended = true
          await discard()
          if (layer.format === 'raw') await folder.remove(sidecarName(layer))
        },
      }
      return draft
    } catch (error) {
      await discard()
      throw error
    }
  },
})

const openLayer = async (folder: LayerFolder, layer: LayerId): Promise<LayerDisk> => {
  const fileName = layerFileName(layer)
  const file = await folder.open(fileName)
  if (file === undefined) {
    if (isOfOthers(layer)) throw new ChangedFileError(fileName, 'it is gone')
    throw new AppError('VDI_IO_ERROR', [`Cannot open the layer ${fileName}: the file is missing`])
  }
  try {
    return isOfOthers(layer)
      ? await openWatched(folder, layer, file)
      : await openImage(folder, layer, file)
  } catch (error) {
    await file.close()
    throw error
  }
}

const openImage = async (folder: LayerFolder, layer: LayerId, image: Image): Promise<Disk> => {
  const disk = await formats[layer.format].open(image)
  const map = layer.format === 'raw' ? await readSidecar(folder, layer, disk.size) : undefined
  return map === undefined ? disk : openWithMap(disk, map)
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
  const disk = await openImage(folder, layer, layer.format === 'raw' ? padToSectors(image) : image)
  return { ...disk, verify }
}
