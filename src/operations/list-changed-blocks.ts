// The use case behind VDI.list_changed_blocks: which blocks of a VDI differ from another. Reads no
// data, unless the two share no layer and hold little.

import { encodeChangedBlocks } from '../disk/changed-bitmap.ts'
import type { LongText } from '../disk/long-text.ts'
import { inTurnsOf } from '../transfer/in-turns.ts'
import type { OperationContext } from './context.ts'

/**
 * @param fromUuid the VDI that it is compared with; of any size, related or not
 * @param toUuid the VDI whose changed blocks are listed
 * @returns base64 of one bit for 64 KiB of `toUuid`: see encodeChangedBlocks
 * @throws AppError HANDLE_INVALID
 */
export const listChangedBlocks = async (
  context: OperationContext,
  fromUuid: string,
  toUuid: string,
  signal?: AbortSignal,
): Promise<LongText> => {
  const { map } = await context.storage.contents.changedBlocks(toUuid, fromUuid, {
    narrow: 'small',
    signal,
    inTurns: inTurnsOf(context.transfers, undefined),
  })
  return encodeChangedBlocks(map)
}
