// What each format of the table does, by its name.

import assert from 'node:assert/strict'
import { AppError } from '../errors.ts'
import type { FormatName } from '../format-table.ts'
import { formatNames } from '../format-table.ts'
import type { ImageFormat, LayerFormat } from './format.ts'
import { qcow2 } from './qcow2/qcow2.ts'
import { raw } from './raw/raw.ts'
import { tar } from './tar/tar.ts'
import { vdi } from './vdi/vdi.ts'
import { vhd } from './vhd/vhd.ts'
import { vhdx } from './vhdx/vhdx.ts'
import { vmdk } from './vmdk/vmdk.ts'

/** Those that VDIs may lie in. */
const layerFormats: readonly LayerFormat[] = [raw, vhd, qcow2]

export const formats: Readonly<Record<FormatName, ImageFormat>> = {
  raw,
  vhd,
  qcow2,
  vdi,
  vmdk,
  vhdx,
  tar,
}

/** The format of this name, of which the table says that VDIs may lie in it. */
export const layerFormatOf = (name: FormatName): LayerFormat => {
  const format = layerFormats.find((known) => known.name === name)
  assert(format !== undefined, `No layer can be written in ${name}`)
  return format
}

/**
 * The format of this name in any case, as clients write it.
 * @throws AppError VALUE_NOT_SUPPORTED that lists those there are
 */
export const requireFormat = (name: string): ImageFormat => {
  const known = formatNames.find((format) => format === name.toLowerCase())
  if (known === undefined) {
    const found = `must be one of ${formatNames.join(', ')}`
    const advice = 'qemu-img convert turns other formats into these and back'
    throw new AppError('VALUE_NOT_SUPPORTED', ['format', name.slice(0, 64), `${found}; ${advice}`])
  }
  return formats[known]
}
