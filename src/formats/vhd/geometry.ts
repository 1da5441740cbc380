// Cylinders, heads and sectors: what a footer says for old guests, and what some creators mean as
// the size.

import { SECTOR_SIZE } from '../../units.ts'

interface Geometry {
  readonly cylinders: number
  readonly heads: number
  readonly sectorsPerTrack: number
}

/** The largest geometry: 127 GiB. A disk that has it is this large or larger. */
export const maximumGeometry: Geometry = { cylinders: 65_535, heads: 16, sectorsPerTrack: 255 }

/** The sectors that a geometry counts. */
export const sectorsOf = ({ cylinders, heads, sectorsPerTrack }: Geometry): number =>
  cylinders * heads * sectorsPerTrack

/**
 * VHD, "CHS calculation": the geometry of a disk of `size` bytes, which may count fewer sectors.
 */
export const geometryOf = (size: number): Geometry => {
  const sectors = Math.min(Math.floor(size / SECTOR_SIZE), sectorsOf(maximumGeometry))
  // From here on 63 sectors in a track are not enough for 65535 cylinders.
  if (sectors >= 65_535 * 16 * 63) return geometryWith(sectors, 255, 16)
  const tracks = Math.floor(sectors / 17)
  const heads = Math.max(4, Math.ceil(tracks / 1024))
  if (heads <= 16 && tracks < heads * 1024) return geometryWith(sectors, 17, heads)
  if (Math.floor(sectors / 31) < 16 * 1024) return geometryWith(sectors, 31, 16)
  return geometryWith(sectors, 63, 16)
}

const geometryWith = (sectors: number, sectorsPerTrack: number, heads: number): Geometry => ({
  cylinders: Math.floor(Math.floor(sectors / sectorsPerTrack) / heads),
  heads,
  sectorsPerTrack,
})
