// Uuids of objects that the catalog does not keep, because others say all of them: the same at each
// start.

import { createHash } from 'node:crypto'

/** RFC 9562, version 8, from the class and the uuids of what the object hangs on. */
export const derivedUuid = (className: string, ...uuids: string[]): string => {
  const hash = createHash('sha256')
    .update([className, ...uuids].join(' '))
    .digest()
  hash[6] = (hash[6]! & 0x0f) | 0x80
  hash[8] = (hash[8]! & 0x3f) | 0x80
  const digits = hash.toString('hex', 0, 16)
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
