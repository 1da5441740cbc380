// Images that are encoded on the way, as a whole.

import type { Disk } from '../../src/disk/disk.ts'
import type { ImageFormat } from '../../src/formats/format.ts'
import { testIdentity } from '../laws/format-laws.ts'

export const encodeAll = async (
  format: ImageFormat,
  disk: Disk,
  subformat: string,
): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of format.encode!(disk, testIdentity, { subformat })) chunks.push(chunk)
  return new Uint8Array(Buffer.concat(chunks))
}
