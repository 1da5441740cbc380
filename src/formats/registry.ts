// All formats by name: the one place where a new one is added.

import { UnknownFormatError } from '../errors.ts'
import type { FormatName, ImageFormat } from './format.ts'
import { formatNames } from './format.ts'
import { qcow2 } from './qcow2/qcow2.ts'
import { raw } from './raw/raw.ts'
import { vhd } from './vhd/vhd.ts'

export const formats: Readonly<Record<FormatName, ImageFormat>> = { raw, vhd, qcow2 }

/**
 * The format of this name in any case, as clients write it.
 * @throws UnknownFormatError
 */
export const requireFormat = (name: string): ImageFormat => {
  const known = formatNames.find((format) => format === name.toLowerCase())
  if (known === undefined) throw new UnknownFormatError(name, formatNames)
  return formats[known]
}
