// What differs between two VDIs: from the maps of the layers that they do not share, and narrowed by
// comparing content where that is asked for or costs little. storage.ts pins and opens for it.

import { createHash } from 'node:crypto'
import type { LayerRow } from '../../catalog/layers/layers.ts'
import { METADATA_ONLY } from '../../catalog/schema.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import type { BlockMap } from '../../disk/block-map.ts'
import { emptyBlockMap } from '../../disk/block-map.ts'
import { closeWith } from '../../disk/close-with.ts'
import { createDeferredDisk } from '../../disk/deferred-disk.ts'
import { changedBlocks, collectDeltaMap, createDeltaDisk } from '../../disk/delta-disk.ts'
import type { Disk } from '../../disk/disk.ts'
import type { NarrowOptions, Step } from '../../disk/narrow-delta.ts'
import { narrowChanges } from '../../disk/narrow-delta.ts'
import { AppError } from '../../errors.ts'
import { GiB } from '../../units.ts'
import { createDeltaCache } from './delta-cache.ts'
import type { FollowChanges } from '../scanning/follow-changes.ts'
import type { LayerSource, OpenedChain } from './open-chain.ts'
import { openChainOnDemand, readMaps } from './open-chain.ts'
import { requireData } from './require-data.ts'
import type { OpenedVdi, PinnedChain } from './opened.ts'
import type { VdiPins } from './pin-vdis.ts'

/**
 * Whether content is compared. `small`: of VDIs that share no layer, as long as they hold little data in
 * all; the others differ in little more than what their layers say.
 */
export type Narrowing = 'never' | 'small' | 'always'

/** How much data two VDIs may hold between them to be compared unasked, in bytes: about a second's work. */
const smallComparison = GiB

export interface DeltaOptions extends Omit<NarrowOptions, 'step'> {
  readonly narrow: Narrowing
  /** Runs a comparison, which may go on for others when this asker has left, in turns with other work. Default: at once. */
  readonly inTurns?: InTurns
}

/** @param signal ends the wait for a turn */
export type InTurns = <T>(
  work: (step: Step) => Promise<T>,
  signal: AbortSignal | undefined,
) => Promise<T>

const atOnce: InTurns = (work) => work(() => undefined)

export interface Changes {
  /** What may differ, as `data`; the rest is hole. Of the size of the first VDI. */
  readonly map: BlockMap
  /** Whether the content has the same name, the layers' maps told, or content was compared. */
  readonly how: 'same' | 'maps' | 'narrowed'
}

export interface OpenedDelta {
  /** Its extents tell only what may differ: see createDeltaDisk. Closing it ends the hold on the layers. */
  readonly disk: Disk
  /** The layers of the VDI, top first. */
  readonly chain: readonly LayerRow[]
  /** See OpenedVdi. */
  readonly vdi: VdiRow
  readonly baseVdi: VdiRow
  readonly verify: () => Promise<void>
  /** Names the blocks that are sent: part of every ETag of a delta. The same content in other layers may make others. */
  readonly basis: string
}

export interface Deltas {
  /**
   * In what `vdi` may differ from `base`. Reads no data unless it is narrowed, and nothing stays open.
   * @throws AppError VDI_INCOMPATIBLE_TYPE where content is to be compared of which only the map is left
   */
  changes(vdi: VdiRow, base: VdiRow, options: DeltaOptions): Promise<Changes>

  /** `vdi` as it differs from `base`, to be sent. Throws like `changes`. */
  open(vdi: VdiRow, base: VdiRow, options: DeltaOptions): Promise<OpenedDelta>
}

/** What deltas are made with. */
export interface DeltaParts {
  readonly source: (srUuid: string) => LayerSource
  /** See VdiPins. */
  readonly pinVdis: VdiPins['pinVdis']
  readonly followChanges: FollowChanges
  /** Opens a VDI for reading all of it, as its row says: ChangedFileError where that is no longer so. */
  readonly openVdi: (vdi: VdiRow) => Promise<Pick<OpenedVdi, 'disk' | 'verify'>>
}

export const createDeltas = ({ source, pinVdis, followChanges, openVdi }: DeltaParts): Deltas => {
  const narrowed = createDeltaCache()

  const pinBoth = async (vdi: VdiRow, base: VdiRow): Promise<Chains> => {
    const [own, below] = await pinVdis([vdi, base])
    const chains = compareChains(own!, below!)
    // Of one whose data was destroyed the layers may still have it, for others: it is not shown.
    const hasData = chains.hasData && [vdi, base].every(({ type }) => type !== METADATA_ONLY)
    return { ...chains, hasData }
  }

  const compare = async (
    vdi: VdiRow,
    base: VdiRow,
    candidates: BlockMap,
    options: NarrowOptions,
  ): Promise<BlockMap> => {
    const own = await openVdi(vdi)
    try {
      const below = await openVdi(base)
      try {
        const changes = await narrowChanges(own.disk, below.disk, candidates, options)
        await own.verify()
        await below.verify()
        return changes
      } finally {
        await below.disk.close()
      }
    } finally {
      await own.disk.close()
    }
  }

  /** The maps of the layers that only the VDI has are needed again to open the delta. */
  const changesBetween = async (
    vdi: VdiRow,
    base: VdiRow,
    chains: Chains,
    options: DeltaOptions,
  ): Promise<Changes & { own: readonly BlockMap[] }> => {
    if (isSameContent(vdi, base)) {
      return { map: emptyBlockMap(vdi.virtualSize), how: 'same', own: [] }
    }
    const own = await readMaps(source(vdi.srUuid), chains.own)
    const others = await readMaps(source(base.srUuid), chains.others)
    const { sharedSize } = chains
    const difference = { own, others, baseSize: base.virtualSize, sharedSize }
    const map = changedBlocks(difference, vdi.virtualSize)
    if (!isToBeNarrowed(chains, [...own, ...others], options)) {
      return { map, how: 'maps', own }
    }
    requireContent(vdi, base, chains)
    const key = [vdi, base].map(contentKey).join(' ')
    const { inTurns = atOnce } = options
    const narrow = (to: NarrowOptions): Promise<BlockMap> =>
      inTurns((step) => compare(vdi, base, map, { ...to, step }), to.signal)
    return { map: await narrowed.get(key, narrow, options), how: 'narrowed', own }
  }

  const tellChanges = async (
    vdi: VdiRow,
    base: VdiRow,
    options: DeltaOptions,
  ): Promise<Changes> => {
    const chains = await pinBoth(vdi, base)
    try {
      const { map, how } = await changesBetween(vdi, base, chains, options)
      return { map, how }
    } finally {
      chains.release()
    }
  }

  const openDelta = async (
    vdi: VdiRow,
    base: VdiRow,
    options: DeltaOptions,
  ): Promise<OpenedDelta> => {
    requireData(vdi)
    const chains = await pinBoth(vdi, base)
    const { chain, release } = chains
    let opened: OpenedChain | undefined
    const openChain = async (): Promise<OpenedChain> =>
      (opened = await openChainOnDemand(source(vdi.srUuid), chain, vdi.virtualSize))
    try {
      const { map, own } = await changesBetween(vdi, base, chains, options)
      const isEmpty = map.countBytes('data') === 0
      // Of what does not differ nothing is sent, so nothing is read either.
      const disk = isEmpty ? createDeferredDisk(vdi.virtualSize, openChain) : await openChain()
      try {
        const sent = isEmpty ? map : await collectDeltaMap(disk, map, own)
        return {
          disk: closeWith(createDeltaDisk(disk, sent), release),
          chain,
          basis: digestOf(sent),
          vdi,
          baseVdi: base,
          verify: async () => opened?.verify(),
        }
      } catch (error) {
        await disk.close()
        throw error
      }
    } catch (error) {
      release()
      throw error
    }
  }

  return {
    changes: (vdi, base, options) =>
      followChanges([vdi, base], ([vdiNow, baseNow]) => tellChanges(vdiNow!, baseNow!, options)),
    open: (vdi, base, options) =>
      followChanges([vdi, base], ([vdiNow, baseNow]) => openDelta(vdiNow!, baseNow!, options)),
  }
}

/** The layers of two VDIs, held. */
interface Chains {
  /** All of the first VDI. */
  readonly chain: readonly LayerRow[]
  /** Those that only the first has, those that only the other has; each top first. */
  readonly own: readonly LayerRow[]
  readonly others: readonly LayerRow[]
  readonly sharesLayers: boolean
  /** Of the largest layer that both have; 0 for none. */
  readonly sharedSize: number
  /** Whether both can be read: each layer still has its data, and not only its map. */
  readonly hasData: boolean
  readonly release: () => void
}

const compareChains = (own: PinnedChain, below: PinnedChain): Chains => {
  const uuids = new Set(own.chain.map(({ uuid }) => uuid))
  const baseUuids = new Set(below.chain.map(({ uuid }) => uuid))
  const shared = own.chain.filter(({ uuid }) => baseUuids.has(uuid))
  return {
    chain: own.chain,
    own: own.chain.filter(({ uuid }) => !baseUuids.has(uuid)),
    others: below.chain.filter(({ uuid }) => !uuids.has(uuid)),
    sharesLayers: shared.length > 0,
    sharedSize: Math.max(0, ...shared.map(({ virtualSize }) => virtualSize)),
    hasData: [...own.chain, ...below.chain].every((layer) => layer.hasData),
    release() {
      own.release()
      below.release()
    },
  }
}

/** Whatever their layers are: merging keeps the content and its name. */
const isSameContent = (vdi: VdiRow, base: VdiRow): boolean =>
  vdi.contentUuid === base.contentUuid &&
  (vdi.contentUuid !== null || vdi.layerUuid === base.layerUuid) &&
  vdi.virtualSize <= base.virtualSize

/** Names what a VDI shows. */
const contentKey = (vdi: VdiRow): string =>
  `${vdi.contentUuid ?? vdi.layerUuid ?? 'empty'}/${vdi.virtualSize}`

const isToBeNarrowed = (
  { own, others, sharesLayers, hasData }: Chains,
  differing: readonly BlockMap[],
  { narrow }: DeltaOptions,
): boolean => {
  if (narrow !== 'small') return narrow === 'always'
  // Against an empty disk the maps say it all.
  if (sharesLayers || !hasData || own.length === 0 || others.length === 0) return false
  return differing.reduce((sum, map) => sum + map.countBytes('data'), 0) <= smallComparison
}

/** Of the kinds alone: which layers they lie in is not sent, and merging changes it. */
const digestOf = (map: BlockMap): string => {
  const digest = createHash('sha256')
  let last = ''
  for (const { offset, kind } of map.runs()) {
    if (kind !== last) digest.update(`${offset} ${kind}\n`)
    last = kind
  }
  return digest.update(String(map.size)).digest('base64url')
}

/** @throws AppError VDI_INCOMPATIBLE_TYPE */
const requireContent = (vdi: VdiRow, base: VdiRow, { hasData }: Chains): void => {
  if (hasData) return
  const found = 'of one of them only the block map is left'
  throw new AppError('VDI_INCOMPATIBLE_TYPE', [
    vdi.uuid,
    `Cannot compare the content of the VDI ${vdi.uuid} with that of ${base.uuid}: ${found}`,
  ])
}
