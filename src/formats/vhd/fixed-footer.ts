// The closing footer of a fixed VHD that came as a stream: it must be that of the disk that came
// before it. The decoders of fixed VHDs ask here, once all bytes are there.

import { imageError } from '../../errors.ts'
import { formatBytes } from '../../units.ts'
import { diskTypes } from './constants.ts'
import { firstBytes, refusePoisoned, tryParseFooter, virtualSizeOf } from './footer.ts'

const what = 'Cannot decode vhd'

/**
 * @param bytes the last 512 bytes; of a short footer 511 and a zero
 * @param size of what came before it, in bytes
 * @param first the first bytes of the stream, for the message
 * @throws AppError IMPORT_ERROR_GENERIC unless this is the footer of a fixed disk of `size` bytes
 */
export const requireFixedFooter = (bytes: Uint8Array, size: number, first: Uint8Array): void => {
  refusePoisoned(bytes, what)
  const footer = tryParseFooter(bytes)
  if (footer === undefined) throw notFixed(bytes, first)
  if (footer.diskType !== diskTypes.fixed) {
    const found = `the closing footer is of disk type ${footer.diskType}, but the stream does not start with a copy of it`
    throw imageError(what, found)
  }
  // Some creators round the one, some the other.
  if (footer.currentSize === size || virtualSizeOf(footer, what) === size) return
  throw imageError(
    what,
    `the closing footer is of a disk of ${formatBytes(footer.currentSize, size)}, ${formatBytes(size, footer.currentSize)} came before it`,
  )
}

const notFixed = (footer: Uint8Array, first: Uint8Array): Error =>
  imageError(
    what,
    `this is no VHD: it starts with ${firstBytes(first)} and its last 512 bytes with ${firstBytes(footer)}, neither is a footer. For a raw disk say format=raw; a fixed VHD that was cut has lost its footer`,
  )
