// CRC-32C (Castagnoli), as RFC 3720 defines it: the checksum of VHDX. zlib has CRC-32 only.

/** The polynomial 0x1edc6f41, its bits reversed. */
const polynomial = 0x82f63b78

/** What the eight bits of an index add, then the same followed by one to three zero bytes. */
const tables = ((): readonly Uint32Array[] => {
  const first = Uint32Array.from({ length: 256 }, (_, byte) => {
    let rest = byte
    for (let bit = 0; bit < 8; bit += 1) rest = (rest >>> 1) ^ ((rest & 1) === 0 ? 0 : polynomial)
    return rest
  })
  const all = [first]
  for (let zeros = 1; zeros < 4; zeros += 1) {
    const before = all[zeros - 1]!
    all.push(before.map((rest) => first[rest & 0xff]! ^ (rest >>> 8)))
  }
  return all
})()

/** @param seed the checksum of what comes before `bytes` */
export const crc32c = (bytes: Uint8Array, seed = 0): number => {
  const [t0, t1, t2, t3] = tables as readonly [Uint32Array, Uint32Array, Uint32Array, Uint32Array]
  let rest = ~seed
  let at = 0
  for (; at + 4 <= bytes.length; at += 4) {
    rest ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    rest =
      t3[rest & 0xff]! ^ t2[(rest >>> 8) & 0xff]! ^ t1[(rest >>> 16) & 0xff]! ^ t0[rest >>> 24]!
  }
  for (; at < bytes.length; at += 1) rest = t0[(rest ^ bytes[at]!) & 0xff]! ^ (rest >>> 8)
  return ~rest >>> 0
}
