// Turns an import's writes into a sealed layer and the layer into the VDI's content: the one place
// where content changes. A crash at any point leaves the old content, and a row that names what to remove.

import { randomUUID } from 'node:crypto'
import type { LayerRow } from '../catalog/layers.ts'
import type { DiskWriter } from '../disk/disk.ts'
import type { FormatName } from '../formats/format.ts'
import { imageUuidOf } from '../store/file-stamp.ts'
import type { OpenedVdi } from '../store/storage.ts'
import type { LayerDraft } from '../store/store.ts'
import { layerFileName } from '../store/store.ts'
import { copyUnwritten, createWriteRecorder } from './copy-unwritten.ts'
import type { TransferContext } from './context.ts'

/** The longest chain of layers: a longer one would cost every reader. The next layer is then made whole. */
const maximumChain = 64

export interface NewLayer {
  readonly srUuid: string
  /** The format at rest that the VDI asks for. */
  readonly format: FormatName
  /** In bytes. */
  readonly virtualSize: number
  /** What stays where nothing is written: the VDI's present content. Absent: zeros. */
  readonly below?: OpenedVdi
  /** Moves the VDI to the sealed layer, in one transaction. */
  commit(sealed: { uuid: string; parentUuid: string | null; fileSize: number }): Promise<void>
}

/**
 * Writes, seals and commits one layer. On a throw nothing of it is left.
 * @param write puts the content in; called once
 */
export const writeLayer = async (
  { catalog, storage }: TransferContext,
  layer: NewLayer,
  write: (writer: DiskWriter) => Promise<void>,
): Promise<void> => {
  const { srUuid, virtualSize, below } = layer
  const parent = below?.chain[0]
  const isWhole = parent === undefined || (below?.chain.length ?? 0) >= maximumChain
  const row = {
    uuid: randomUUID(),
    srUuid,
    parentUuid: isWhole ? null : parent.uuid,
    // A raw file cannot say which of its blocks it does not hold.
    format: layer.format === 'raw' && !isWhole ? 'qcow2' : layer.format,
    virtualSize,
    createdAt: new Date(),
  } as const
  await catalog.layers.begin(row)
  let draft: LayerDraft | undefined
  try {
    draft = await storage.store(srUuid).createLayer(row, {
      size: virtualSize,
      timestamp: row.createdAt,
      ...(isWhole || below === undefined ? {} : { parent: parentOf(parent, below) }),
    })
    if (isWhole && below !== undefined) {
      const recorder = createWriteRecorder(draft)
      await write(recorder)
      await copyUnwritten(below.disk, recorder, draft)
    } else {
      await write(draft)
    }
    const fileSize = await draft.seal()
    // What was read of the content below must have been that content.
    await below?.verify()
    await layer.commit({ uuid: row.uuid, parentUuid: row.parentUuid, fileSize })
  } catch (error) {
    await draft?.abort()
    // A commit that took effect and still threw: the layer is content now, and stays.
    if ((await catalog.layers.get(row.uuid))?.state === 'sealed') throw error
    // After seal the file lies in the repository: abort no longer removes it.
    await storage.store(srUuid).removeLayer(row)
    await catalog.layers.remove(row.uuid)
    throw error
  }
}

const parentOf = (parent: LayerRow, below: OpenedVdi) => ({
  uuid: imageUuidOf(parent),
  timestamp: parent.createdAt,
  format: parent.format,
  fileName: layerFileName(parent),
  disk: below.disk,
})
