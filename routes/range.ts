// RFC 9110, section 14: which bytes of an export a request wants, one range at the most.

import type { ByteRange } from '../src/disk/extents.ts'

type RangeChoice =
  { readonly status: 200 | 206; readonly range: ByteRange } | { readonly status: 416 }

/**
 * A Range header that is not understood, names several ranges, or whose If-Range does not hold is
 * ignored, as the RFC allows: the answer is then the whole.
 * @param size of the whole, in bytes
 */
export const chooseRange = (
  size: number,
  etag: string,
  rangeHeader: string | undefined,
  ifRange: string | undefined,
): RangeChoice => {
  const whole: RangeChoice = { status: 200, range: { offset: 0, length: size } }
  if (rangeHeader === undefined) return whole
  // If-Range compares strongly; a date never matches, as an export has no Last-Modified.
  if (ifRange !== undefined && ifRange !== etag) return whole
  const match = /^bytes=(\d*)-(\d*)$/.exec(rangeHeader.replaceAll(' ', ''))
  if (match === null) return whole
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return whole
  if (first === '') return partial(size, Math.max(0, size - Number(last)), size)
  if (last !== '' && Number(last) < Number(first)) return whole
  return partial(size, Number(first), last === '' ? size : Math.min(size, Number(last) + 1))
}

const partial = (size: number, start: number, end: number): RangeChoice =>
  start < size && end > start
    ? { status: 206, range: { offset: start, length: end - start } }
    : { status: 416 }
