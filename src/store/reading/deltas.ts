// What differs between two VDIs: by the maps of the layers that they do not share, and narrowed by
// comparing content where that is asked for or costs little. contents.ts pins the layers for it.

import { createHash } from 'node:crypto'
import type { LayerRow } from '../../catalog/layers/layer-row.ts'
import { METADATA_ONLY } from '../../catalog/schema.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import type { BlockMap } from '../../disk/block-map.ts'
import { emptyBlockMap } from '../../disk/block-map.ts'
import { createDeferredDisk } from '../../disk/deferred-disk.ts'
import { changedBlocks, collectDeltaMap, createDeltaDisk } from '../../disk/delta-disk.ts'
import type { Disk } from '../../disk/disk.ts'
import type { NarrowOptions, Step } from '../../disk/narrow-delta.ts'
import { narrowChanges } from '../../disk/narrow-delta.ts'
import type { AppError } from '../../errors.ts'
import { GiB } from '../../units.ts'
import { createDeltaCache } from './delta-cache.ts'
import type { LayerSource, OpenedChain } from './open-chain.ts'
import { openChain, openChainOnDemand, readMaps } from './open-chain.ts'
import type { VdiChain } from './pin-vdis.ts'
import type { Pins } from './pins.ts'
import { vdiIncompatibleType } from '../../object-errors.ts'

/**
 * Whether content is compared. `small`: of VDIs that share no layer, as long as they hold little
 * data in all; the others differ in little more than what their layers say.
 */
export type Narrowing = 'never' | 'small' | 'always'

/**
 * How much data two VDIs may hold between them to be compared unasked, in bytes: about a second's
 * work.
 */
const smallComparison = GiB

export interface DeltaOptions extends Omit<NarrowOptions, 'step'> {
  readonly narrow: Narrowing
  /**
   * Runs a comparison, which may go on for others when this asker has left, in turns with other
   * work. Default: at once.
   */
  readonly inTurns?: InTurns
  /** Is given the rows before anything is compared, and throws to refuse the delta. */
  readonly check?: (vdi: VdiRow, base: VdiRow) => Promise<void> | void
}

/** @param signal ends the wait for a turn */
export type InTurns = <T>(
  work: (step: Step) => Promise<T>,
  signal: AbortSignal | undefined,
) => Promise<T>

const atOnce: InTurns = (work) => work(() => undefined)

/** In what a VDI may differ from its base. */
export interface ChangedBlocks {
  /** What may differ, as `data`; the rest is hole. Of the size of the VDI. */
  readonly map: BlockMap
  /** Whether the contents have one name, the maps of the layers told, or content was compared. */
  readonly how: 'same' | 'maps' | 'narrowed'
}

/** Opened for a delta: what contents.ts makes an OpenedContent of. */
interface OpenedDelta {
  /** Its extents tell only what may differ: see createDeltaDisk. */
  readonly disk: Disk
  /** See OpenedContent. */
  readonly basis: string
  readonly verify: () => Promise<void>
}

/**
 * The caller has pinned the layers of both VDIs, and keeps them pinned until what is opened is
 * closed.
 */
interface Deltas {
  /**
   * Reads no data unless content is compared; nothing stays open.
   * @throws AppError VDI_INCOMPATIBLE_TYPE where content is to be compared of which only the map is
   *   left
   */
  changedBlocks(vdi: VdiChain, base: VdiChain, options: DeltaOptions): Promise<ChangedBlocks>

  /** The VDI as it differs from the base, to be sent. Throws like `changedBlocks`. */
  open(vdi: VdiChain, base: VdiChain, options: DeltaOptions): Promise<OpenedDelta>
}

interface DeltaParts {
  readonly sourceOf: (srUuid: string) => LayerSource
  readonly pins: Pins
}

export const createDeltas = ({ sourceOf, pins }: DeltaParts): Deltas => {
  const narrowed = createDeltaCache()

  const openWhole = ({ vdi, chain }: VdiChain): Promise<OpenedChain> =>
    openChain(sourceOf(vdi.srUuid), chain, vdi.virtualSize)

  const compareContent = async (
    vdi: VdiChain,
    base: VdiChain,
    candidates: BlockMap,
    options: NarrowOptions,
  ): Promise<BlockMap> => {
    const disk = await openWhole(vdi)
    try {
      const baseDisk = await openWhole(base)
      try {
        const changes = await narrowChanges(disk, baseDisk, candidates, options)
        await disk.verify()
        await baseDisk.verify()
        return changes
      } finally {
        await baseDisk.close()
      }
    } finally {
      await disk.close()
    }
  }

  const narrow = (
    vdi: VdiChain,
    base: VdiChain,
    candidates: BlockMap,
    options: DeltaOptions,
  ): Promise<BlockMap> => {
    const { inTurns = atOnce } = options
    const key = [vdi, base].map(({ vdi: row }) => contentKey(row)).join(' ')
    const compare = async (to: NarrowOptions): Promise<BlockMap> => {
      // It may go on for others when this asker has left and has released its pins.
      const release = pins.pin([...vdi.chain, ...base.chain].map((layer) => layer.uuid))
      try {
        return await inTurns(
          (step) => compareContent(vdi, base, candidates, { ...to, step }),
          to.signal,
        )
      } finally {
        release()
      }
    }
    return narrowed.get(key, compare, options)
  }

  /** The maps of the layers that only the VDI has are needed again to open the delta. */
  const findChanges = async (
    vdi: VdiChain,
    base: VdiChain,
    options: DeltaOptions,
  ): Promise<ChangedBlocks & { readonly own: readonly BlockMap[] }> => {
    const { virtualSize, srUuid } = vdi.vdi
    if (isSameContent(vdi.vdi, base.vdi)) {
      return { map: emptyBlockMap(virtualSize), how: 'same', own: [] }
    }
    const paths = comparePaths(vdi.chain, base.chain)
    const own = await readMaps(sourceOf(srUuid), paths.own)
    const others = await readMaps(sourceOf(base.vdi.srUuid), paths.ofBase)
    const difference = {
      own,
      others,
      baseSize: base.vdi.virtualSize,
      sharedSize: paths.sharedSize,
    }
    const map = changedBlocks(difference, virtualSize)
    const hasContent = [vdi, base].every(hasData)
    if (!isToBeNarrowed({ ...paths, hasContent }, [...own, ...others], options)) {
      return { map, how: 'maps', own }
    }
    if (!hasContent) throw onlyMapsLeft(vdi.vdi, base.vdi)
    return { map: await narrow(vdi, base, map, options), how: 'narrowed', own }
  }

  return {
    async changedBlocks(vdi, base, options) {
      await options.check?.(vdi.vdi, base.vdi)
      const { map, how } = await findChanges(vdi, base, options)
      return { map, how }
    },
    async open(vdi, base, options) {
      await options.check?.(vdi.vdi, base.vdi)
      const { srUuid, virtualSize } = vdi.vdi
      let opened: OpenedChain | undefined
      const openWhole = async (): Promise<OpenedChain> =>
        (opened = await openChainOnDemand(sourceOf(srUuid), vdi.chain, virtualSize))
      const { map, own } = await findChanges(vdi, base, options)
      const isEmpty = map.countBytes('data') === 0
      // Of what does not differ nothing is sent, so nothing is read either.
      const disk = isEmpty ? createDeferredDisk(virtualSize, openWhole) : await openWhole()
      try {
        const sent = isEmpty ? map : await collectDeltaMap(disk, map, own)
        return {
          disk: createDeltaDisk(disk, sent),
          basis: digestOf(sent),
          verify: async () => opened?.verify(),
        }
      } catch (error) {
        await disk.close()
        throw error
      }
    },
  }
}

/** The layers of two VDIs, each top first. */
interface Paths {
  /** Those that only the VDI has. */
  readonly own: readonly LayerRow[]
  /** Those that only the base has. */
  readonly ofBase: readonly LayerRow[]
  readonly sharesLayers: boolean
  /** Of the largest layer that both have; 0 for none. */
  readonly sharedSize: number
}

const comparePaths = (chain: readonly LayerRow[], baseChain: readonly LayerRow[]): Paths => {
  const uuids = new Set(chain.map(({ uuid }) => uuid))
  const baseUuids = new Set(baseChain.map(({ uuid }) => uuid))
  const shared = chain.filter(({ uuid }) => baseUuids.has(uuid))
  return {
    own: chain.filter(({ uuid }) => !baseUuids.has(uuid)),
    ofBase: baseChain.filter(({ uuid }) => !uuids.has(uuid)),
    sharesLayers: shared.length > 0,
    sharedSize: Math.max(0, ...shared.map(({ virtualSize }) => virtualSize)),
  }
}

/**
 * Whether the content can be read, and not only its map. The layers of a VDI whose data was
 * destroyed may still have it, for others: it is not shown.
 */
const hasData = ({ vdi, chain }: VdiChain): boolean =>
  vdi.type !== METADATA_ONLY && chain.every((layer) => layer.hasData)

/** Whatever their layers are: merging keeps the content and its name. */
const isSameContent = (vdi: VdiRow, base: VdiRow): boolean =>
  vdi.contentUuid === base.contentUuid &&
  (vdi.contentUuid !== null || vdi.layerUuid === base.layerUuid) &&
  vdi.virtualSize <= base.virtualSize

/** Names what a VDI shows. */
const contentKey = (vdi: VdiRow): string =>
  `${vdi.contentUuid ?? vdi.layerUuid ?? 'empty'}/${vdi.virtualSize}`

const isToBeNarrowed = (
  { own, ofBase, sharesLayers, hasContent }: Paths & { readonly hasContent: boolean },
  differing: readonly BlockMap[],
  { narrow }: DeltaOptions,
): boolean => {
  if (narrow !== 'small') return narrow === 'always'
  // Against an empty disk the maps say it all.
  if (sharesLayers || !hasContent || own.length === 0 || ofBase.length === 0) return false
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

const onlyMapsLeft = (vdi: VdiRow, base: VdiRow): AppError => {
  const found = 'of one of them only the block map is left'
  const message = `Cannot compare the content of the VDI ${vdi.uuid} with that of ${base.uuid}: ${found}`
  return vdiIncompatibleType(vdi.uuid, vdi.type, message)
}
