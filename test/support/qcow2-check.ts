// What `qemu-img check` looks at, for the images that diskport writes: every cluster of the file is
// used exactly once and has the refcount 1. Reads bits by itself, as the specification has them.

const clusterSize = 65_536
const offsetMask = 0x00ff_ffff_ffff_fe00n
const copied = 1n << 63n

/** Throws with what is wrong first. */
export const checkImage = (bytes: Uint8Array): void => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const users = new Map<number, string>()
  const use = (offset: number, clusters: number, user: string): void => {
    for (let index = 0; index < clusters; index += 1) {
      const cluster = offset / clusterSize + index
      if (!Number.isInteger(cluster)) throw new Error(`${user} is not at a cluster: ${offset}`)
      if (users.has(cluster)) throw new Error(`${user} overlaps ${users.get(cluster)}: ${offset}`)
      if ((cluster + 1) * clusterSize > bytes.length) throw new Error(`${user} leaves the file`)
      users.set(cluster, user)
    }
  }
  const u64 = (at: number): number => Number(view.getBigUint64(at))

  use(0, 1, 'header')
  const l1Entries = view.getUint32(36)
  const l1Offset = u64(40)
  use(l1Offset, Math.ceil((l1Entries * 8) / clusterSize), 'L1')
  const tableOffset = u64(48)
  const tableClusters = view.getUint32(56)
  use(tableOffset, tableClusters, 'refcount table')
  const blocks: number[] = []
  for (let at = 0; at < tableClusters * clusterSize; at += 8) {
    const block = u64(tableOffset + at)
    if (block > 0) {
      use(block, 1, `refcount block ${at / 8}`)
      blocks[at / 8] = block
    }
  }
  for (let table = 0; table < l1Entries; table += 1) {
    const entry = view.getBigUint64(l1Offset + table * 8)
    if (entry === 0n) continue
    if ((entry & ~offsetMask) !== copied) throw new Error(`L1 entry ${table} is ${entry}`)
    const offset = Number(entry & offsetMask)
    use(offset, 1, `L2 table ${table}`)
    for (let index = 0; index < 8192; index += 1) {
      const l2Entry = view.getBigUint64(offset + index * 8)
      if (l2Entry <= 1n) continue
      if ((l2Entry & ~offsetMask & ~1n) !== copied) throw new Error(`L2 entry is ${l2Entry}`)
      use(Number(l2Entry & offsetMask), 1, `guest cluster ${table * 8192 + index}`)
    }
  }
  for (let cluster = 0; cluster < blocks.length * 32_768; cluster += 1) {
    const block = blocks[Math.floor(cluster / 32_768)]
    const count = block === undefined ? 0 : view.getUint16(block + (cluster % 32_768) * 2)
    const wanted = users.has(cluster) ? 1 : 0
    if (count !== wanted) throw new Error(`refcount of cluster ${cluster}: ${count}, not ${wanted}`)
  }
  if (users.size !== bytes.length / clusterSize) {
    throw new Error(`${users.size} clusters are used of ${bytes.length / clusterSize}`)
  }
}
