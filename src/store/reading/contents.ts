// The one door to what VDIs show: each call looks up the VDI with its layers and pins these in one
// step, opens them, and follows files that others have changed. Imports that come later do not
// disturb a reader.

import type { Catalog } from '../../catalog/catalog.ts'
import type { LayerRow } from '../../catalog/layers/layer-row.ts'
import type { MapRun } from '../../disk/block-map.ts'
import { closeWith } from '../../disk/close-with.ts'
import type { Extent } from '../../disk/extents.ts'
import type { Scanner } from '../scanning/scan-folder.ts'
import type { ChangedBlocks, DeltaOptions } from './deltas.ts'
import { createDeltas } from './deltas.ts'
import { followChanges } from './follow-changes.ts'
import type { LayerSource, OpenedChain } from './open-chain.ts'
import { openChain, openChainOnDemand } from './open-chain.ts'
import type { OpenedContent } from './opened-content.ts'
import type { PinnedVdis } from './pin-vdis.ts'
import { pinVdis } from './pin-vdis.ts'
import type { Pins } from './pins.ts'
import { requireData } from './require-data.ts'

export interface Contents {
  /** Of the VDIs that a move brings, which nobody else sees. */
  ofMove(incomingMoveUuid: string): Contents

  /**
   * What the VDI shows at this moment, for readers of the whole disk.
   * @throws AppError HANDLE_INVALID; VDI_INCOMPATIBLE_TYPE for a VDI without data
   */
  open(vdiUuid: string): Promise<OpenedContent>

  /** The same without a map of the whole disk, for readers that need little of it. */
  openRuns(vdiUuid: string): Promise<OpenedContent>

  /**
   * In what the VDI differs from the base, to be sent. They may lie in two storage repositories.
   * @throws AppError HANDLE_INVALID; VDI_INCOMPATIBLE_TYPE for a VDI without data, and for a base
   *   without data if content is to be compared; what `options.check` throws
   */
  openDelta(vdiUuid: string, baseUuid: string, options: DeltaOptions): Promise<OpenedContent>

  /** The same as a map. The VDI need not have data; nothing stays open. Throws like `openDelta`. */
  changedBlocks(vdiUuid: string, baseUuid: string, options: DeltaOptions): Promise<ChangedBlocks>

  /**
   * The rows of these VDIs at this moment, whose layers stay until `release` is called.
   * @throws AppError HANDLE_INVALID for one that is not there
   */
  pinVdis(uuids: readonly string[]): Promise<PinnedVdis>

  /**
   * Keeps layers, with all below them, until the returned function is called; they need not be
   * there yet.
   */
  pinLayers(uuids: readonly string[]): Promise<() => void>

  /**
   * A stretch of a chain as one disk: what it does not hold is a hole. The caller has pinned the
   * layers, and closes the disk.
   * @param layers top first, at least one
   * @param size virtual size of the disk, in bytes
   */
  openStretch(layers: readonly LayerRow[], size: number): Promise<OpenedChain>

  /** Whether anybody reads a layer of the storage repository. */
  isRead(srUuid: string): Promise<boolean>
}

interface ContentParts {
  readonly catalog: Catalog
  readonly scanner: Scanner
  readonly pins: Pins
  readonly sourceOf: (srUuid: string) => LayerSource
}

export const createContents = (parts: ContentParts): Contents => {
  const { catalog, scanner, pins, sourceOf } = parts
  const deltas = createDeltas({ sourceOf, pins })

  const pin = (uuids: readonly string[]): Promise<PinnedVdis> => pinVdis({ catalog, pins }, uuids)

  const follow = <T>(
    uuids: readonly string[],
    open: (pinned: PinnedVdis) => Promise<T>,
  ): Promise<T> => followChanges(scanner, () => pin(uuids), open)

  const openWith = (open: typeof openChain, uuid: string): Promise<OpenedContent> =>
    follow([uuid], async ({ vdis, release }) => {
      const { vdi, chain } = vdis[0]!
      requireData(vdi)
      const opened = await open(sourceOf(vdi.srUuid), chain, vdi.virtualSize)
      return {
        disk: closeWith(opened, release),
        runs: (range) => opened.runs(range),
        chain,
        vdi,
        basis: '',
        verify: () => opened.verify(),
      }
    })

  return {
    ofMove: (uuid) =>
      createContents({ ...parts, catalog: { ...catalog, vdis: catalog.vdis.ofMove(uuid) } }),
    open: (uuid) => openWith(openChain, uuid),
    openRuns: (uuid) => openWith(openChainOnDemand, uuid),
    openDelta: (vdiUuid, baseUuid, options) =>
      follow([vdiUuid, baseUuid], async ({ vdis, release }) => {
        const [own, base] = vdis
        requireData(own!.vdi)
        const opened = await deltas.open(own!, base!, options)
        const disk = closeWith(opened.disk, release)
        return {
          ...own!,
          ...opened,
          disk,
          runs: (range) => atTop(disk.extents(range)),
          baseVdi: base!.vdi,
        }
      }),
    changedBlocks: (vdiUuid, baseUuid, options) =>
      follow([vdiUuid, baseUuid], async ({ vdis, release }) => {
        const [own, base] = vdis
        const changes = await deltas.changedBlocks(own!, base!, options)
        release()
        return changes
      }),
    pinVdis: pin,
    pinLayers: (uuids) => pins.step(async () => pins.pin(uuids)),
    openStretch: (layers, size) => openChain(sourceOf(layers[0]!.srUuid), layers, size),
    async isRead(srUuid) {
      const held = pins.held()
      return (await catalog.layers.list(srUuid)).some((layer) => held.has(layer.uuid))
    },
  }
}

/** A delta is one image: all of it at depth 0. */
async function* atTop(extents: AsyncIterable<Extent>): AsyncGenerator<MapRun, void, undefined> {
  for await (const { offset, length, kind } of extents) yield { offset, length, kind, depth: 0 }
}
