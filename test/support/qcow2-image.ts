// Builds QCOW2 images for tests, every structure wherever the test wants it. Knows nothing of src:
// what it writes comes from the specification alone, so that the two check each other.

import { fillPattern } from './disks.ts'

export type ClusterContent = 'data' | 'zero' | 'zeroAllocated'

export interface ImageSpec {
  readonly version: 2 | 3
  readonly clusterBits: number
  /** In bytes. */
  readonly virtualSize: number
  /** Guest cluster → what it holds; the others are unallocated. */
  readonly clusters: ReadonlyMap<number, ClusterContent>
  /** Clusters that nothing refers to. */
  readonly leaks?: number
  /**
   * Arranges the structures, named `refcounts`, `block:<n>`, `l1`, `l2:<table>`, `data:<cluster>`
   * and `leak:<n>`, after the header. Default: in this order.
   */
  readonly arrange?: (names: string[]) => string[]
  readonly backingName?: string
  readonly seed?: number
}

export interface BuiltImage {
  readonly bytes: Uint8Array
  /** What the guest sees. */
  readonly content: Uint8Array
  /** Where each structure lies. */
  readonly offsets: ReadonlyMap<string, number>
}

export const buildImage = (spec: ImageSpec): BuiltImage => {
  const clusterSize = 2 ** spec.clusterBits
  const entries = clusterSize / 8
  const clusterCount = Math.ceil(spec.virtualSize / clusterSize)
  const tables = new Set([...spec.clusters.keys()].map((cluster) => Math.floor(cluster / entries)))
  const l1Size = Math.ceil(clusterCount / entries)
  const placed = [...spec.clusters].filter(([, content]) => content !== 'zero')

  const others = [
    'l1',
    ...[...tables].map((table) => `l2:${table}`),
    ...placed.map(([cluster]) => `data:${cluster}`),
    ...Array.from({ length: spec.leaks ?? 0 }, (_, index) => `leak:${index}`),
  ]
  const sizeOf = (name: string): number => (name === 'l1' ? Math.ceil(l1Size / entries) : 1)
  const otherClusters = others.reduce((sum, name) => sum + sizeOf(name), 0)
  // One cluster of table and as many blocks as count all of it; enough for the images of tests.
  let blocks = 1
  while (blocks * (clusterSize / 2) < 2 + otherClusters + blocks) blocks += 1
  if (blocks > entries) throw new Error('The image is too large for this builder')
  const names = ['refcounts', ...Array.from({ length: blocks }, (_, i) => `block:${i}`), ...others]

  const offsets = new Map<string, number>()
  let next = 1
  for (const name of spec.arrange?.(names) ?? names) {
    offsets.set(name, next * clusterSize)
    next += sizeOf(name)
  }
  const bytes = new Uint8Array(next * clusterSize)
  const view = new DataView(bytes.buffer)
  writeHeader(view, spec, l1Size, offsets)

  for (let block = 0; block < blocks; block += 1) {
    const offset = offsets.get(`block:${block}`)!
    view.setBigUint64(offsets.get('refcounts')! + block * 8, BigInt(offset))
    for (let index = 0; index < clusterSize / 2; index += 1) {
      const isUsed = block * (clusterSize / 2) + index < next
      view.setUint16(offset + index * 2, isUsed ? 1 : 0)
    }
  }
  for (const [name, offset] of offsets) {
    if (name.startsWith('leak:')) bytes.fill(0xee, offset, offset + clusterSize)
  }
  const copied = 1n << 63n
  for (const table of tables) {
    const entry = copied | BigInt(offsets.get(`l2:${table}`)!)
    view.setBigUint64(offsets.get('l1')! + table * 8, entry)
  }
  const content = new Uint8Array(spec.virtualSize)
  for (const [cluster, kind] of spec.clusters) {
    const dataOffset = offsets.get(`data:${cluster}`)
    const at = offsets.get(`l2:${Math.floor(cluster / entries)}`)! + (cluster % entries) * 8
    const place = dataOffset === undefined ? 0n : copied | BigInt(dataOffset)
    view.setBigUint64(at, kind === 'data' ? place : place | 1n)
    if (kind === 'data') {
      const data = bytes.subarray(dataOffset, dataOffset! + clusterSize)
      fillPattern(cluster * clusterSize, data, spec.seed)
      const target = content.subarray(cluster * clusterSize)
      target.set(data.subarray(0, target.length))
    }
    // What must never be seen: old bytes under a zero flag.
    if (kind === 'zeroAllocated') bytes.fill(0xdd, dataOffset, dataOffset! + clusterSize)
  }
  return { bytes, content, offsets }
}

const writeHeader = (
  view: DataView,
  spec: ImageSpec,
  l1Size: number,
  offsets: ReadonlyMap<string, number>,
): void => {
  view.setUint32(0, 0x514649fb)
  view.setUint32(4, spec.version)
  view.setUint32(20, spec.clusterBits)
  view.setBigUint64(24, BigInt(spec.virtualSize))
  view.setUint32(36, l1Size)
  view.setBigUint64(40, BigInt(offsets.get('l1')!))
  view.setBigUint64(48, BigInt(offsets.get('refcounts')!))
  view.setUint32(56, 1)
  if (spec.version === 3) {
    view.setUint32(96, 4)
    view.setUint32(100, 104)
  }
  if (spec.backingName !== undefined) {
    const name = Buffer.from(spec.backingName)
    view.setBigUint64(8, 256n)
    view.setUint32(16, name.length)
    new Uint8Array(view.buffer).set(name, 256)
  }
}
