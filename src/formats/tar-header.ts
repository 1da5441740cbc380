// The first header of a tar archive, so that one is recognised. Never reads an archive.

/** POSIX, "ustar Interchange Format"; archives from before it have the checksum too. */
const nameLength = 100
const checksumAt = 148
const checksumLength = 8
const sizeAt = 124
const sizeLength = 12
const typeAt = 156
const headerLength = 512

/** @param start the first bytes, one character each */
export const isTar = (start: string): boolean => {
  if (start.length < headerLength || start.startsWith('\0')) return false
  const field = start.slice(checksumAt, checksumAt + checksumLength)
  const digits = /^ *([0-7]{1,7})[ \0]/.exec(field)?.[1]
  if (digits === undefined) return false
  let sum = 0
  for (let at = 0; at < headerLength; at += 1) {
    const isChecksum = at >= checksumAt && at < checksumAt + checksumLength
    sum += isChecksum ? 0x20 : start.charCodeAt(at)
  }
  return sum === Number.parseInt(digits, 8)
}

/** Headers of pax and GNU tar, which describe the entry after them. */
const describing: readonly string[] = ['x', 'g', 'L', 'K']

/** Whether an archive begins with what describes its first entry. @param start of anything */
export const describesEntry = (start: string): boolean =>
  isTar(start) && describing.includes(start[typeAt] ?? '')

/**
 * Without the folders that lead to it. What only describes it is passed over, as far as `start`
 * goes.
 * @param start of an archive
 */
export const nameOfFirstEntry = (start: string): string => {
  let header = start
  while (describesEntry(header)) {
    const size = Number.parseInt(header.slice(sizeAt, sizeAt + sizeLength), 8)
    const after = header.slice(headerLength + Math.ceil(size / headerLength) * headerLength)
    if (!isTar(after)) break
    header = after
  }
  const [path = ''] = header.slice(0, nameLength).split('\0')
  return path.slice(path.lastIndexOf('/') + 1)
}
