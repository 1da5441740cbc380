// Disk → Image for raw: the same bytes, zeros included.

import type { Disk } from '../../disk/disk.ts'
import { AppError } from '../../errors.ts'
import type { Image } from '../../image/image.ts'
import { createLayoutImage } from '../../image/layout-image.ts'
import type { ImageIdentity } from '../format.ts'

/** See ImageFormat.plan. There is no raw delta. */
export const planRaw = async (disk: Disk, identity: ImageIdentity): Promise<Image> => {
  if (identity.base !== undefined) {
    const reason = 'there is no raw delta, ask for vhd or qcow2'
    throw new AppError('VALUE_NOT_SUPPORTED', ['base', identity.base.uuid, reason])
  }
  const fill = (offset: number, target: Uint8Array, signal?: AbortSignal) =>
    disk.read(offset, target, signal)
  return createLayoutImage([{ length: disk.size, fill }], () => disk.close())
}
