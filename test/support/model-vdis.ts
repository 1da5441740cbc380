// What the server must show, in memory: VDIs as plain arrays of bytes. Values never change: a step
// gives a new list.

import type { FormatName } from '../../src/format-table.ts'
import { formats } from '../../src/formats/registry.ts'
import type { Disk } from '../../src/disk/disk.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'

export interface ModelVdi {
  /** Stands for the uuid, which the model does not know. */
  readonly name: number
  /** Also of one whose data was destroyed: what it once showed. */
  readonly bytes: Uint8Array
  /** Which of the two storage repositories. */
  readonly place: 0 | 1
  readonly isSnapshot: boolean
  /** The name of the disk, while that is there. */
  readonly snapshotOf: number | null
  readonly hasData: boolean
  readonly isTracked: boolean
}

export type ModelVdis = readonly ModelVdi[]

export const newName = (vdis: ModelVdis): number => Math.max(0, ...vdis.map(({ name }) => name)) + 1

/** An ordinary disk. */
export const modelDisk = (name: number, place: 0 | 1, bytes: Uint8Array): ModelVdi => ({
  name,
  bytes,
  place,
  isSnapshot: false,
  snapshotOf: null,
  hasData: true,
  isTracked: false,
})

/** With `changes` to the one of this name. */
export const changed = (vdis: ModelVdis, name: number, changes: Partial<ModelVdi>): ModelVdis =>
  vdis.map((vdi) => (vdi.name === name ? { ...vdi, ...changes } : vdi))

/** The VDI and its snapshots, and theirs, that move together. */
export const familyOf = (vdis: ModelVdis, vdi: ModelVdi): ModelVdis => {
  const family = [vdi]
  for (const { name } of family) {
    family.push(...vdis.filter(({ snapshotOf, hasData }) => snapshotOf === name && hasData))
  }
  return family
}

/** Something that an image or a disk holds. */
export interface Held {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** All that is not a hole. */
export const heldBy = async (disk: Disk): Promise<Held[]> => {
  const held: Held[] = []
  for await (const { kind, offset, length } of disk.extents()) {
    if (kind === 'hole') continue
    const bytes = new Uint8Array(length)
    if (kind === 'data') await disk.read(offset, bytes)
    held.push({ offset, bytes })
  }
  return held
}

/** What an image says: its size and all that it holds. */
export const readImage = async (format: FormatName, image: Uint8Array) => {
  const disk = await formats[format].open(createMemoryImage(image))
  try {
    return { size: disk.size, held: await heldBy(disk) }
  } finally {
    await disk.close()
  }
}

/** `bytes`, cut or filled up with zeros to `size`, with what is held on top. */
export const overlaid = (
  bytes: Uint8Array,
  held: readonly Held[],
  size = bytes.length,
): Uint8Array => {
  const result = new Uint8Array(size)
  result.set(bytes.subarray(0, size))
  for (const { offset, bytes: part } of held) {
    if (offset < size) result.set(part.subarray(0, size - offset), offset)
  }
  return result
}
