// Finds zeros in bytes, at the speed of a memory comparison.

import { KiB } from '../units.ts'

const zeros = Buffer.alloc(64 * KiB)

/** True where every byte is 0. */
export const isZero = (bytes: Uint8Array): boolean => {
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const part = bytes.subarray(at, at + zeros.length)
    // The first byte answers for most data without the cost of a call into native code.
    if (part[0] !== 0 || zeros.compare(part, 0, part.length, 0, part.length) !== 0) return false
  }
  return true
}
