// An image in a file that others may write: what is read from it counts only while the file is as
// it was. Looked at every so often while reading, and by `verify` before the last bytes are
// believed.

import type { Image } from '../../image/image.ts'
import { MiB } from '../../units.ts'
import type { FileStamp } from './file-stamp.ts'
import { changesBetween, ChangedFileError, takeStamp } from './file-stamp.ts'

/** Bytes that are read between two checks. */
const bytesBetweenLooks = 32 * MiB

interface WatchedImage {
  readonly image: Image
  /** @throws ChangedFileError */
  readonly verify: () => Promise<void>
}

/** @param stamp how the file must look; its block map, which is read once, does not count */
export const watchImage = (file: Image, fileName: string, stamp: FileStamp): WatchedImage => {
  const { map: _map, ...expected } = stamp
  let unseen = 0
  const verify = async (): Promise<void> => {
    unseen = 0
    const changes = changesBetween(expected, await takeStamp(file))
    if (changes !== undefined) throw new ChangedFileError(fileName, changes)
  }
  return {
    verify,
    image: {
      ...file,
      async read(offset, target, signal) {
        await file.read(offset, target, signal)
        unseen += target.length
        if (unseen >= bytesBetweenLooks) await verify()
      },
    },
  }
}
