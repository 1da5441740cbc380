// What an export may be asked for, by the table of formats: spelled as the format does, or refused
// by name. Called before anything is opened.

import { AppError } from '../../errors.ts'
import { formatTable } from '../../format-table.ts'
import type { ImageFormat, PlanOptions } from '../../formats/format.ts'

/**
 * Takes the names of a subformat and of a compression in any case.
 * @throws AppError VALUE_NOT_SUPPORTED for those that the format does not have, and for a kind of
 *   delta where it has none
 */
export const requireOptions = ({ name }: ImageFormat, options: PlanOptions): PlanOptions => {
  const { subformats, compressions = [], exportsDeltas } = formatTable[name]
  if (options.delta !== undefined && !exportsDeltas) {
    const reason = `there is no ${name} delta, ask for vhd or qcow2`
    throw new AppError('VALUE_NOT_SUPPORTED', ['delta', options.delta, reason])
  }
  const subformat = requireName(name, 'subformat', options.subformat, subformats)
  const compression = requireName(name, 'compression', options.compression, compressions)
  return {
    ...options,
    ...(subformat === undefined ? {} : { subformat }),
    ...(compression === undefined ? {} : { compression }),
  }
}

const requireName = (
  format: string,
  option: string,
  wanted: string | undefined,
  known: readonly string[],
): string | undefined => {
  if (wanted === undefined) return undefined
  const found = known.find((each) => each.toLowerCase() === wanted.toLowerCase())
  if (found !== undefined) return found
  const reason =
    known.length === 0
      ? `${format} has no ${option}s, leave it out`
      : `must be one of ${known.join(', ')} for ${format}`
  throw new AppError('VALUE_NOT_SUPPORTED', [option, wanted.slice(0, 64), reason])
}

/** Whether such an image is encoded, so that nobody knows its length before its end. */
export const isStreamed = ({ name }: ImageFormat, options: PlanOptions): boolean => {
  const { subformats, streamed } = formatTable[name]
  const subformat = options.subformat ?? subformats[0]
  const isEncoded = subformat !== undefined && streamed.includes(subformat)
  return isEncoded || options.compression !== undefined
}
