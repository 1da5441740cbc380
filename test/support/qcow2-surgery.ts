// Changes QCOW2 files in ways that qemu-img does not write.

import { type FileHandle, open } from 'node:fs/promises'

const addressMask = 0x00ff_ffff_ffff_fe00n

const readAt = async (file: FileHandle, offset: number, length: number): Promise<Buffer> => {
  const bytes = Buffer.alloc(length)
  await file.read(bytes, 0, length, offset)
  return bytes
}

/**
 * Puts all L2 tables, then L1, behind the data, so that nothing tells a forward reader where a
 * cluster belongs until it has passed them all. Reference counts are left wrong: readers need none.
 */
export const moveTablesToEnd = async (path: string): Promise<void> => {
  await using file = await open(path, 'r+')
  const header = await readAt(file, 0, 72)
  const clusterSize = 1 << header.readUInt32BE(20)
  const l1 = await readAt(file, Number(header.readBigUInt64BE(40)), header.readUInt32BE(36) * 8)
  let end = Math.ceil((await file.stat()).size / clusterSize) * clusterSize
  for (let at = 0; at < l1.length; at += 8) {
    const address = Number(l1.readBigUInt64BE(at) & addressMask)
    if (address === 0) continue
    const table = await readAt(file, address, clusterSize)
    await file.write(table, 0, clusterSize, end)
    await file.write(Buffer.alloc(clusterSize), 0, clusterSize, address)
    l1.writeBigUInt64BE(BigInt(end) | (1n << 63n), at)
    end += clusterSize
  }
  await file.write(l1, 0, l1.length, end)
  await file.truncate(end + Math.ceil(l1.length / clusterSize) * clusterSize)
  header.writeBigUInt64BE(BigInt(end), 40)
  await file.write(header, 0, header.length, 0)
}
