// How long the first frame of Zstandard is: what follows it in a sector is none of it. RFC 8878,
// section 3.1.1.

const magic = 0xfd_2f_b5_28
const descriptorAt = 4
const blockHeaderSize = 3
const checksumSize = 4
const rleBlock = 1

/** @throws RangeError for what is no frame, or one that does not end within `bytes` */
export const zstdFrameLength = (bytes: Uint8Array): number => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint32(0, true) !== magic) throw new RangeError('it is no Zstandard frame')
  const descriptor = view.getUint8(descriptorAt)
  const isSingleSegment = (descriptor & 0x20) !== 0
  const sizeFlag = descriptor >>> 6
  const windowSize = isSingleSegment ? 0 : 1
  const dictionarySize = [0, 1, 2, 4][descriptor & 3]!
  const contentSize = sizeFlag === 0 ? Number(isSingleSegment) : [0, 2, 4, 8][sizeFlag]!
  let at = descriptorAt + 1 + windowSize + dictionarySize + contentSize
  for (let isLast = false; !isLast;) {
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16)
    isLast = (header & 1) === 1
    const isRepeated = ((header >>> 1) & 3) === rleBlock
    at += blockHeaderSize + (isRepeated ? 1 : header >>> 3)
  }
  const end = at + ((descriptor & 4) === 0 ? 0 : checksumSize)
  if (end > bytes.length)
    throw new RangeError(`its frame has ${end} bytes, there are ${bytes.length}`)
  return end
}
