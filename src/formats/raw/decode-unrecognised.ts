// Stream → writes for what begins as no known image: a raw disk, unless the footer of a fixed VHD
// closes it, which only the end of the stream shows. For imports whose sender leaves the format
// open.

import type { DiskWrite } from '../../disk/disk.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import { SECTOR_SIZE } from '../../units.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'
import { recogniseEnd } from '../recognise.ts'
import { decodeRaw } from './decode.ts'

/** As ImageFormat.decode; the last sector is not the guest's where it is a footer. */
export const decodeUnrecognised = async (
  stream: ForwardReader,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const decoded = await decodeRaw(stream, withRoomForFooter(context))
  let guestSize: number | undefined
  return {
    ...decoded,
    endSize: () => guestSize ?? decoded.endSize?.() ?? decoded.virtualSize,
    async *writes() {
      // Each is held until the next one comes: the last may end with the footer.
      let last: (DiskWrite & { kind: 'data' }) | undefined
      for await (const write of decoded.writes()) {
        if (last !== undefined) yield last
        last = undefined
        if (write.kind === 'data') last = write
        else yield write
      }
      if (last === undefined) return
      const end = last.offset + last.bytes.length
      if (recogniseEnd(last.bytes.subarray(-SECTOR_SIZE), end) === undefined) {
        yield last
        return
      }
      guestSize = end - SECTOR_SIZE
      const bytes = last.bytes.subarray(0, -SECTOR_SIZE)
      if (bytes.length > 0) yield { ...last, bytes }
      else last.release?.()
    },
  }
}

/** Where the stream may end anywhere, a footer may follow the last byte of the VDI. */
const withRoomForFooter = (context: DecodeContext): DecodeContext => {
  const { diskSize, ...others } = context
  const isOpen = context.streamLength === undefined && context.mayBeShort === true
  if (!isOpen || diskSize === undefined) return context
  return { ...others, largestSize: diskSize + SECTOR_SIZE }
}
