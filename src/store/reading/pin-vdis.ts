// Looks up the layers of VDIs and holds them, in one step: merging and collecting wait meanwhile.

import type { LimitFunction } from 'p-limit'
import type { Catalog } from '../../catalog/catalog.ts'
import type { LayerRow } from '../../catalog/layers/layers.ts'
import { handleInvalid } from '../../catalog/refs.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import { ChangedFileError } from '../files/file-stamp.ts'
import type { HeldVdis, PinnedChain } from './opened.ts'
import type { Pins } from './pins.ts'
import { layerFileName } from '../files/store.ts'

interface PinPorts {
  readonly catalog: Catalog
  readonly pins: Pins
  /** In which layers are chosen for deleting, too. */
  readonly oneAtATime: LimitFunction
}

export interface VdiPins {
  /** The layer with all below it. */
  readonly pinLayer: (uuid: string) => Promise<PinnedChain>

  /**
   * The layers of each VDI as its row says. They go together: merging may make chains shorter between two steps.
   * @throws ChangedFileError where a file of others was looked at again since the row was read: the layers show
   *   another content than the row names
   */
  readonly pinVdis: (vdis: readonly VdiRow[]) => Promise<PinnedChain[]>

  /** As Storage.holdVdis. */
  readonly holdVdis: (uuids: readonly string[]) => Promise<HeldVdis>
}

export const createVdiPins = ({ catalog, pins, oneAtATime }: PinPorts): VdiPins => {
  const readChain = async (uuid: string | null): Promise<LayerRow[]> =>
    uuid === null ? [] : catalog.layers.chain(uuid)

  const pinChains = (layerUuids: readonly (string | null)[]): Promise<PinnedChain[]> =>
    oneAtATime(async () => {
      const chains: LayerRow[][] = []
      for (const uuid of layerUuids) chains.push(await readChain(uuid))
      return chains.map((chain) => ({ chain, release: pins.pin(chain.map(({ uuid }) => uuid)) }))
    })

  /** Names of contents never come back: the same name now means that it was the same when the layers were read. */
  const requireSameContent = async (vdi: VdiRow, chain: readonly LayerRow[]): Promise<void> => {
    const file = chain.find(({ fileStamp }) => fileStamp !== null)
    if (file === undefined) return
    const now = await catalog.vdis.get(vdi.uuid)
    if (now === undefined || now.contentUuid === vdi.contentUuid) return
    throw new ChangedFileError(layerFileName(file), 'it was looked at again meanwhile')
  }

  const requireVdi = async (uuid: string): Promise<VdiRow> => {
    const vdi = await catalog.vdis.get(uuid)
    if (vdi === undefined) throw handleInvalid('VDI', uuid)
    return vdi
  }

  return {
    pinLayer: async (uuid) => (await pinChains([uuid]))[0]!,
    async pinVdis(vdis) {
      const pinned = await pinChains(vdis.map(({ layerUuid }) => layerUuid))
      try {
        for (const [index, vdi] of vdis.entries()) {
          await requireSameContent(vdi, pinned[index]!.chain)
        }
        return pinned
      } catch (error) {
        for (const { release } of pinned) release()
        throw error
      }
    },
    holdVdis: (uuids) =>
      oneAtATime(async () => {
        const vdis = await Promise.all(uuids.map(requireVdi))
        const chains: LayerRow[][] = []
        for (const { layerUuid } of vdis) chains.push(await readChain(layerUuid))
        return { vdis, release: pins.pin(chains.flat().map(({ uuid }) => uuid)) }
      }),
  }
}
