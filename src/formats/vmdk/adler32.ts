// Adler-32, which closes what zlib wraps: RFC 1950. node:zlib does not offer it by itself.

const MODULUS = 65_521

/** So many bytes cannot overflow 32 bits before they are reduced. */
const stride = 5552

export const adler32 = (bytes: Uint8Array): number => {
  let low = 1
  let high = 0
  for (let at = 0; at < bytes.length; at += stride) {
    const end = Math.min(bytes.length, at + stride)
    for (let index = at; index < end; index += 1) {
      low = (low + bytes[index]!) | 0
      high = (high + low) | 0
    }
    low = (low >>> 0) % MODULUS
    high = (high >>> 0) % MODULUS
  }
  return ((high << 16) | low) >>> 0
}
