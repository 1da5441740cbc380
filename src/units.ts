// Units of size, and the arithmetic of blocks, sectors and clusters. Pure numbers, no I/O.

export const KiB = 1024
export const MiB = 1024 * KiB
export const GiB = 1024 * MiB
export const TiB = 1024 * GiB

/** Bytes in a sector: the unit of every virtual size and of VHD's tables. */
export const SECTOR_SIZE = 512

/** The largest VDI of any kind: what XenServer allows, room for QCOW2's metadata within 16 TiB. */
export const MAXIMUM_DISK_SIZE = 16 * TiB - 2561 * MiB

/** The largest multiple of `unit` that is not above `value`. */
export const alignDown = (value: number, unit: number): number => value - (value % unit)

/** The smallest multiple of `unit` that is not below `value`. */
export const alignUp = (value: number, unit: number): number => alignDown(value + unit - 1, unit)

/** The number of units of `unit` bytes that cover `value` bytes. */
export const unitsFor = (value: number, unit: number): number => Math.ceil(value / unit)

/**
 * A size for people, in bytes and, from 1 KiB up, in the largest unit that fits: `4096 bytes (4
 * KiB)`.
 * @param beside another size in the same sentence: no unit is said where rounding would make the
 *   two look alike
 */
export const formatBytes = (bytes: number, beside = bytes): string => {
  const { value, name } = inUnits(bytes)
  if (name === undefined) return `${bytes} bytes`
  if (Number.isInteger(value)) return `${bytes} bytes (${value} ${name})`
  const rounded = `${value.toFixed(1)} ${name}`
  const other = inUnits(beside)
  const isAlike = beside !== bytes && `${other.value.toFixed(1)} ${other.name}` === rounded
  return isAlike ? `${bytes} bytes` : `${bytes} bytes (${rounded})`
}

/** `name` is undefined below 1 KiB. */
const inUnits = (bytes: number): { value: number; name: string | undefined } => {
  const names = ['KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let name: string | undefined
  while (value >= 1024 && names.length > 0) {
    value /= 1024
    name = names.shift()
  }
  return { value, name }
}

const sizeText = /^(\d+) *(b|bytes|[kmgt](?:i?b)?|)$/i
const powers: Readonly<Record<string, number>> = { '': 0, b: 0, k: 1, m: 2, g: 3, t: 4 }

/**
 * The bytes of a size as people write it: `4096`, `10GiB`, `10g`. undefined for anything else, and
 * beyond 2^53.
 */
export const parseSize = (text: string): number | undefined => {
  const match = sizeText.exec(text)
  if (match === null) return undefined
  const [, count, unit = ''] = match
  const size = Number(count) * 1024 ** powers[unit.slice(0, 1).toLowerCase()]!
  return Number.isSafeInteger(size) ? size : undefined
}
