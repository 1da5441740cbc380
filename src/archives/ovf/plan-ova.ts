// Images of disks → OVA: a tar archive of the descriptor and the images, of exact length, readable
// at any offset. POSIX, ustar; a size that it cannot hold stands as GNU tar writes it.

import { encodeHeader, HEADER_LENGTH, paddedSize } from '../../formats/tar/header.ts'
import type { Image } from '../../image/image.ts'
import type { Region } from '../../image/layout-image.ts'
import { bytesRegion, createLayoutImage } from '../../image/layout-image.ts'

export interface ArchivedImage {
  readonly fileName: string
  readonly image: Image
}

interface OvaParts {
  readonly ovfName: string
  readonly ovf: string
  readonly disks: readonly ArchivedImage[]
  /** Of all entries. */
  readonly changedAt: Date
}

/** The archive owns the images and closes them. */
export const planOva = ({ ovfName, ovf, disks, changedAt }: OvaParts): Image => {
  const seconds = Math.max(0, Math.floor(changedAt.getTime() / 1000))
  const entry = (name: string, size: number, content: Region): Region[] => [
    bytesRegion(encodeHeader({ name, size }, seconds)),
    content,
    bytesRegion(new Uint8Array(paddedSize(size) - size)),
  ]
  const text = Buffer.from(ovf)
  return createLayoutImage(
    [
      ...entry(ovfName, text.length, bytesRegion(text)),
      ...disks.flatMap(({ fileName, image }) => entry(fileName, image.size, imageRegion(image))),
      bytesRegion(new Uint8Array(2 * HEADER_LENGTH)),
    ],
    async () => {
      for (const { image } of disks) await image.close()
    },
  )
}

const imageRegion = (image: Image): Region => ({
  length: image.size,
  fill: (offset, target, signal) => image.read(offset, target, signal),
})
