// Copies the layers below some VDIs into another storage repository or format. What they share is
// copied once and stays shared, so that deltas between them stay as small as they were.

import { randomUUID } from 'node:crypto'
import type { SealedLayer } from '../catalog/layers/layers.ts'
import type { LayerRow } from '../catalog/layers/layer-row.ts'
import type { FormatName } from '../format-table.ts'
import type { OpenedChain } from '../store/reading/open-chain.ts'
import type { TransferContext } from './context.ts'
import type { Work } from './copy-disk.ts'
import { copyDisk, countData, progressOf } from './copy-disk.ts'
import type { Stretch } from './layer-stretches.ts'
import { stretchesOf } from './layer-stretches.ts'
import type { TaskHandle } from './with-task.ts'
import type { Below } from './write-layer.ts'
import { writeLayer } from './write-layer.ts'

interface LayerCopies {
  /** The copy of a top layer, by the uuid of the layer. */
  readonly copyOf: ReadonlyMap<string, string>
  /** Lets go of the copies: what no VDI has taken until then is deleted. Idempotent. */
  readonly release: () => void
}

interface CopyLayersOptions extends Work {
  readonly srUuid: string
  /** At rest; a raw layer that lies on another becomes QCOW2. */
  readonly format: FormatName
  /** Told how far the copying is. */
  readonly task: TaskHandle
}

/**
 * On a throw the copies that were made are let go of.
 * @param tops the caller holds them
 */
export const copyLayers = async (
  context: TransferContext,
  tops: readonly string[],
  options: CopyLayersOptions,
): Promise<LayerCopies> => {
  const { catalog, storage } = context
  const chains = await Promise.all([...new Set(tops)].map((top) => catalog.layers.chain(top)))
  const stretches = stretchesOf(chains)
  const copyOf = new Map(stretches.map(({ top }) => [top.uuid, randomUUID()]))
  // A sealed layer that no VDI names yet would be collected if it were not pinned.
  const release = await storage.contents.pinLayers([...copyOf.values()])
  try {
    const onProgress = progressOf(await countAll(context, stretches), options.task)
    for (const stretch of stretches) {
      await copyStretch(context, stretch, copyOf, { ...options, onProgress })
    }
    return { copyOf, release }
  } catch (error) {
    release()
    throw error
  }
}

const withStretch = async <T>(
  { storage }: TransferContext,
  { top, layers }: Stretch,
  work: (disk: OpenedChain) => Promise<T>,
): Promise<T> => {
  const disk = await storage.contents.openStretch(layers, top.virtualSize)
  try {
    return await work(disk)
  } finally {
    await disk.close()
  }
}

/** Bytes of data of all stretches. */
const countAll = async (
  context: TransferContext,
  stretches: readonly Stretch[],
): Promise<number> => {
  let bytes = 0
  for (const stretch of stretches) bytes += await withStretch(context, stretch, countData)
  return bytes
}

interface CopyStretchOptions extends CopyLayersOptions {
  readonly onProgress: (bytes: number) => void
}

const copyStretch = async (
  context: TransferContext,
  stretch: Stretch,
  copyOf: ReadonlyMap<string, string>,
  { srUuid, format, signal, turn, onProgress }: CopyStretchOptions,
): Promise<void> => {
  const { catalog } = context
  const { top, below } = stretch
  const work = { signal, turn }
  const parent = below && (await openCopy(context, below.top, copyOf))
  const layer = {
    newUuid: copyOf.get(top.uuid)!,
    srUuid,
    format,
    virtualSize: top.virtualSize,
    ...(parent === undefined ? {} : { below: parent }),
    work,
    commit: (sealed: SealedLayer) => catalog.layers.seal(sealed),
  }
  try {
    await withStretch(context, stretch, (disk) =>
      writeLayer(context, layer, async (writer) => {
        await copyDisk(disk, writer, work, onProgress)
        await disk.verify()
      }),
    )
  } finally {
    await parent?.disk.close()
  }
}

/** What has been copied of a layer and all below it. */
const openCopy = async (
  { catalog, storage }: TransferContext,
  { uuid, virtualSize }: LayerRow,
  copyOf: ReadonlyMap<string, string>,
): Promise<Below> => {
  const chain = await catalog.layers.chain(copyOf.get(uuid)!)
  const disk = await storage.contents.openStretch(chain, virtualSize)
  return { disk, chain, verify: () => disk.verify() }
}
