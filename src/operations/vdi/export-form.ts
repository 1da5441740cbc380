// What an export is: the format and its options, as a client asked for them or as the place takes
// them that the image is for.

import { AppError } from '../../errors.ts'
import type { ImageFormat, PlanOptions } from '../../formats/format.ts'
import { requireFormat } from '../../formats/registry.ts'
import type { Place } from '../../place-table.ts'
import { places } from '../../place-table.ts'
import { requireOptions } from './export-options.ts'

export type ExportOptions = PlanOptions & Pick<Place, 'sizeUnit'>

/** As the client wrote it. */
export interface AskedForm {
  readonly place?: string
  readonly formatName?: string
  readonly options: PlanOptions
}

interface ExportForm {
  readonly format: ImageFormat
  readonly options: ExportOptions
}

/**
 * What is asked for wins over what the place takes; a subformat of the place counts in its format.
 * @throws AppError VALUE_NOT_SUPPORTED for names that are not known
 */
export const requireForm = ({ place: name, formatName, options }: AskedForm): ExportForm => {
  const place = name === undefined ? undefined : requirePlace(name)
  const format = requireFormat(formatName ?? place?.format ?? 'raw')
  const subformat =
    options.subformat ?? (format.name === place?.format ? place.subformat : undefined)
  const asked = { ...options, ...(subformat !== undefined && { subformat }) }
  return {
    format,
    options: {
      ...requireOptions(format, asked),
      ...(place?.sizeUnit !== undefined && { sizeUnit: place.sizeUnit }),
    },
  }
}

const requirePlace = (name: string): Place => {
  const known = name.toLowerCase()
  if (Object.hasOwn(places, known)) return places[known]!
  const found = `must be one of ${Object.keys(places).join(', ')}`
  throw new AppError('VALUE_NOT_SUPPORTED', ['for', name.slice(0, 64), found])
}
