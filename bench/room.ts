// How much room the benchmark takes at most, and whether its folder has it. Asked before it writes.

import { statfs } from 'node:fs/promises'
import type { DiskPlan } from './disks.ts'
import { megabytes } from './table.ts'

/**
 * Bytes. A disk lies there as raw, VHD, QCOW2, VMDK, VHDX and the layer of its VDI; then comes one
 * file that is being written, at most the whole disk (raw without holes). A tenth more for
 * metadata. Of the disks for memory and for compressed images fewer files lie there.
 *
 * The sizes of their data are in bytes, 0 where they are not measured.
 */
export const roomFor = (
  plans: readonly DiskPlan[],
  { memory, compressed }: { readonly memory: number; readonly compressed: number },
): number => {
  const disks = plans.map(({ size, dataSize }) => 6 * dataSize + size)
  return Math.ceil(1.1 * Math.max(3 * memory, 4 * compressed, ...disks))
}

/** Throws where the file system of `folder` has less than `needed` bytes left. */
export const requireRoom = async (folder: string, needed: number): Promise<void> => {
  const { bavail, bsize } = await statfs(folder)
  const available = bavail * bsize
  if (available < needed) {
    const found = `${megabytes(available)} free, needs ${megabytes(needed)}`
    throw new Error(`Cannot run the benchmark in ${folder}: ${found}. Choose another with --dir`)
  }
}
