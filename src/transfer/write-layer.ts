// Turns writes into a sealed layer and the layer into the VDI's content: the one place where
// content changes. A crash at any point leaves the old content, and a row that names what to
// remove.

import { randomUUID } from 'node:crypto'
import type { SealedLayer } from '../catalog/layers/layers.ts'
import type { LayerRow } from '../catalog/layers/layer-row.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import type { Disk, DiskWriter } from '../disk/disk.ts'
import type { FormatName } from '../format-table.ts'
import { DEFAULT_FORMAT, formatTable } from '../format-table.ts'
import { imageUuidOf } from '../store/files/file-stamp.ts'
import type { OpenedContent } from '../store/reading/opened-content.ts'
import type { LayerDraft, LayerId, Store } from '../store/files/store.ts'
import { layerFileName } from '../store/files/store.ts'
import type { TransferContext } from './context.ts'
import type { Work } from './copy-disk.ts'
import { copyUnwritten, createWriteRecorder } from './copy-unwritten.ts'

/**
 * The longest chain of layers: a longer one would cost every reader. The next layer is then made
 * whole.
 */
const maximumChain = 64

/** The content that a layer lies on. */
export type Below = Pick<OpenedContent, 'disk' | 'chain' | 'verify'>

interface LayerRequest {
  /** Of the layer; default: a new one. */
  readonly newUuid?: string
  readonly srUuid: string
  /** The format at rest that the VDI asks for. */
  readonly format: FormatName
  /** In bytes. */
  readonly virtualSize: number
  /** What stays where nothing is written: the VDI's present content. Absent: zeros. */
  readonly below?: Below
  /** Of the transfer: ends what is done beside `write`, and lets others have their turn in it. */
  readonly work: Work
  /** Moves the VDI to the sealed layer, in one transaction. */
  commit(sealed: SealedLayer): Promise<void>
}

/**
 * Writes, seals and commits one layer. On a throw nothing of it is left; what goes wrong after the
 * commit is logged.
 * @param write puts the content in; called once. Returns the virtual size where it is known only
 *   then, see LayerWriter.seal
 */
export const writeLayer = async (
  context: TransferContext,
  layer: LayerRequest,
  write: (writer: DiskWriter) => Promise<number | void>,
): Promise<void> => {
  const { catalog, storage, log } = context
  const { srUuid, virtualSize, below } = layer
  const parent = below?.chain[0]
  const isWhole = parent === undefined || (below?.chain.length ?? 0) >= maximumChain
  const row = {
    uuid: layer.newUuid ?? randomUUID(),
    srUuid,
    parentUuid: isWhole ? null : parent.uuid,
    format: isWhole || formatTable[layer.format].tellsHoles ? layer.format : DEFAULT_FORMAT,
    virtualSize,
    createdAt: new Date(),
  } as const
  // The same to the end: its folder may go and come back meanwhile.
  const store = storage.stores.get(srUuid)
  await catalog.layers.begin(row)
  let draft: LayerDraft | undefined
  let endSize: number | undefined
  try {
    draft = await store.createLayer(row, {
      size: virtualSize,
      timestamp: row.createdAt,
      ...(isWhole || below === undefined ? {} : { parent: parentOf(parent, below) }),
    })
    if (isWhole && below !== undefined) {
      const recorder = createWriteRecorder(draft)
      await write(recorder)
      await copyUnwritten(below.disk, recorder, draft, layer.work)
    } else {
      endSize = (await write(draft)) ?? undefined
    }
    const fileSize = await draft.seal(endSize)
    // What was read of the content below must have been that content.
    await below?.verify()
    await layer.commit({
      uuid: row.uuid,
      parentUuid: row.parentUuid,
      fileSize,
      virtualSize: endSize ?? virtualSize,
    })
  } catch (error) {
    // Where that fails too, the row stays, and the next start removes what it names. Told is the
    // first failure.
    const isContent = await discardLayer(context, store, row, draft).catch((reason: unknown) => {
      log.error({ error: reason, sr: srUuid, layer: row.uuid }, 'removing a layer that has failed')
      return false
    })
    if (!isContent) throw error
    log.error({ error, sr: srUuid, layer: row.uuid }, 'telling of a layer that is content now')
  }
}

/**
 * @param draft absent: no file was made
 * @returns true where nothing was removed: the commit took effect and threw all the same
 */
const discardLayer = async (
  { catalog }: TransferContext,
  store: Store,
  layer: LayerId,
  draft: LayerDraft | undefined,
): Promise<boolean> => {
  await draft?.abort()
  if ((await catalog.layers.get(layer.uuid))?.state === 'sealed') return true
  // After seal the file lies in the repository: abort no longer removes it.
  if (draft !== undefined) await store.removeLayer(layer)
  await catalog.layers.remove(layer.uuid)
  return false
}

/** Closes what was read. After a commit that must not make a failure of it. */
export const closeSource = ({ log }: TransferContext, disk: Disk | undefined): Promise<void> =>
  disk === undefined
    ? Promise.resolve()
    : disk.close().catch((error: unknown) => log.error({ error }, 'closing what was read'))

interface ContentOptions {
  /** What is not written stays as it is; else it becomes zeros. */
  readonly keepsContent: boolean
  /** The task that ends with the commit. */
  readonly taskRef?: string | undefined
  /** See LayerRequest. */
  readonly work: Work
}

/**
 * Writes the new content of a VDI, whose lease the caller holds. On a throw it keeps the old.
 * @param vdi as it is while the lease is held
 */
export const writeContent = async (
  context: TransferContext,
  vdi: VdiRow,
  { keepsContent, taskRef, work }: ContentOptions,
  write: (writer: DiskWriter) => Promise<void>,
): Promise<void> => {
  const { catalog, storage } = context
  const { uuid: vdiUuid, srUuid, layerUuid: expectedLayerUuid } = vdi
  const keepsLayers = keepsContent && expectedLayerUuid !== null
  const below = keepsLayers ? await storage.contents.open(vdiUuid) : undefined
  try {
    const layer = {
      ...vdi,
      ...(below === undefined ? {} : { below }),
      work,
      commit: (sealed: SealedLayer) =>
        catalog.layers.commit({ ...sealed, vdiUuid, expectedLayerUuid, taskRef }),
    }
    await writeLayer(context, layer, write)
  } finally {
    await closeSource(context, below?.disk)
  }
  storage.upkeep.collect(srUuid)
}

const parentOf = (parent: LayerRow, below: Below) => ({
  uuid: imageUuidOf(parent),
  timestamp: parent.createdAt,
  format: parent.format,
  fileName: layerFileName(parent),
  disk: below.disk,
})
