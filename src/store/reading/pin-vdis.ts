// Looks up VDIs with their layers and pins these, in one step: nothing is merged or deleted
// meanwhile.

import type { Catalog } from '../../catalog/catalog.ts'
import type { LayerRow } from '../../catalog/layers/layer-row.ts'
import { handleInvalid } from '../../object-errors.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import type { Pins } from './pins.ts'

/** A VDI and the layers that it shows, as they are at one moment. */
export interface VdiChain {
  readonly vdi: VdiRow
  /** Top first; none for a VDI that was never written. */
  readonly chain: readonly LayerRow[]
}

/** VDIs whose layers stay until they are released. */
export interface PinnedVdis {
  /** In the order of the uuids asked for. */
  readonly vdis: readonly VdiChain[]
  /** Idempotent. */
  readonly release: () => void
}

/** The layers of a chain, top first, which stay until they are released. */
interface PinnedChain {
  readonly chain: readonly LayerRow[]
  readonly release: () => void
}

type Parts = { readonly catalog: Pick<Catalog, 'vdis' | 'layers'>; readonly pins: Pins }

/**
 * Several VDIs go together: merging may make chains shorter between two steps.
 * @throws AppError HANDLE_INVALID for one that is not there
 */
export const pinVdis = ({ catalog, pins }: Parts, uuids: readonly string[]): Promise<PinnedVdis> =>
  pins.step(async () => {
    const vdis: VdiChain[] = []
    for (const uuid of uuids) vdis.push(await readVdi(catalog, uuid))
    const layers = vdis.flatMap(({ chain }) => chain.map((layer) => layer.uuid))
    return { vdis, release: pins.pin(layers) }
  })

/**
 * The layer with all below it.
 * @throws AppError HANDLE_INVALID
 */
export const pinLayer = ({ catalog, pins }: Parts, uuid: string): Promise<PinnedChain> =>
  pins.step(async () => {
    const chain = await catalog.layers.chain(uuid)
    return { chain, release: pins.pin(chain.map((layer) => layer.uuid)) }
  })

/**
 * A scan that finds a changed file gives its layer another stamp and the VDIs on it another content
 * uuid. Content uuids never come back: the same before and after means that the layers read in
 * between belong to it.
 */
const readVdi = async ({ vdis, layers }: Parts['catalog'], uuid: string): Promise<VdiChain> => {
  for (;;) {
    const vdi = await vdis.get(uuid)
    if (vdi === undefined) throw handleInvalid('VDI', uuid)
    const chain = vdi.layerUuid === null ? [] : await layers.chain(vdi.layerUuid)
    if (chain.every(({ fileStamp }) => fileStamp === null)) return { vdi, chain }
    const now = await vdis.get(uuid)
    if (now === undefined || now.contentUuid === vdi.contentUuid) return { vdi, chain }
  }
}
