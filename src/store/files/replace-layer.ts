// A new file for a layer that is sealed already: it holds more than the old one, so that it can lie
// on a lower parent, and shows the same on any chain that the old one showed it on. See
// merge-run.ts.

import { collectBlockMap, tellTheSame } from '../../disk/block-map.ts'
import type { LayerWriter } from '../../formats/format.ts'
import { formats } from '../../formats/registry.ts'
import type { WritableImage } from '../../image/image.ts'
import type { LayerFolder } from './layer-folder.ts'
import { hasSidecar, markNewer, nextSidecarName, sidecarName, stageSidecar } from './map-sidecar.ts'
import type { LayerId, LayerReplacement } from './store.ts'
import { layerFileName } from './store.ts'

/** A layer's file in staging, begun. */
export interface StartedFile {
  readonly file: WritableImage
  readonly writer: LayerWriter
}

export const createReplacement = (
  folder: LayerFolder,
  layer: LayerId,
  { file, writer }: StartedFile,
): Pick<LayerReplacement, 'seal' | 'replace' | 'abort'> => {
  let needsSidecar = false
  return {
    async seal(map) {
      await writer.seal()
      await file.sync()
      const told = await collectBlockMap(await formats[layer.format].open(file))
      // The old file's sidecar would not fit the new one.
      needsSidecar = !tellTheSame(told, map) || (await hasSidecar(folder, layer))
      if (needsSidecar) await stageSidecar(folder, layer, map, nextSidecarName(layer))
      await file.close()
    },
    async replace() {
      // First the file: with the old map, or with its own, it shows the right content on the old
      // chain. The old file with the new map would not. After a crash in between, clearStaging does
      // the rest.
      const bytes = await folder.publish(layerFileName(layer))
      if (!needsSidecar) return bytes
      await folder.publish(nextSidecarName(layer), sidecarName(layer))
      await markNewer(folder, layer)
      return bytes
    },
    async abort() {
      await file.close()
      // In the order of clearStaging.
      await folder.discard(nextSidecarName(layer))
      await folder.discard(layerFileName(layer))
    },
  }
}
