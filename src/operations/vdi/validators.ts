// ETags and times of change of what is sent of a VDI: the same tag means the same bytes. Made of
// names and numbers alone, no data is read.

import { createHash } from 'node:crypto'
import type { VdiRow } from '../../catalog/vdis.ts'
import { formatTable } from '../../format-table.ts'
import type { ImageFormat, PlanOptions } from '../../formats/format.ts'
import { formats } from '../../formats/registry.ts'
import { places } from '../../place-table.ts'
import type { OpenedContent } from '../../store/reading/opened-content.ts'
import type { ExportOptions } from './export-form.ts'
import { isStreamed } from './export-options.ts'

interface Validators {
  /** Quoted, as HTTP wants it; those of streamed images are weak. */
  readonly etags: readonly string[]
  /** When the content last changed, or later. */
  readonly changedAt: Date
}

/**
 * What conditions on the content of a VDI are held against: the tags of all its exports but deltas,
 * any of which a client may have.
 */
export const contentValidators = (vdi: VdiRow): Validators => {
  const etags = Object.values(formats).flatMap((format) =>
    formsOf(format).map((options) => exportTag({ vdi, basis: '' }, format, options)),
  )
  const planDates = Object.values(formats).map(({ planDate }) => planDate)
  return { etags: [...new Set(etags)], changedAt: latest([...planDates, vdi.changedAt]) }
}

/** All that an export in this format may be asked for. */
const formsOf = ({ name }: ImageFormat): ExportOptions[] => {
  const { subformats, compressions = [] } = formatTable[name]
  return [undefined, ...subformats].flatMap((subformat) =>
    [undefined, ...compressions].flatMap((compression) =>
      deltaForms.flatMap((delta) =>
        sizeUnits.map((sizeUnit) => ({
          ...(subformat && { subformat }),
          ...(compression && { compression }),
          ...(delta && { delta }),
          ...(sizeUnit && { sizeUnit }),
        })),
      ),
    ),
  )
}

/** What places round the size to, and none. */
const sizeUnits = [
  ...new Set([undefined, ...Object.values(places).map(({ sizeUnit }) => sizeUnit)]),
]

const deltaForms: readonly PlanOptions['delta'][] = [undefined, 'compatible', 'compact']

/**
 * Everything that the bytes depend on: content, size, format and options, and how a delta was
 * found. Strong where the image is planned: the same tag means the same bytes. Weak where it is
 * streamed: the same disk, compressed by whatever zlib there is.
 */
export const exportTag = (
  { vdi, baseVdi, basis }: Pick<OpenedContent, 'vdi' | 'baseVdi' | 'basis'>,
  format: ImageFormat,
  options: ExportOptions,
): string => {
  const { name, planVersion } = format
  const { subformat, delta, compression, sizeUnit } = options
  const disks = [vdi, baseVdi].map(contentKey)
  const isRounded = sizeUnit !== undefined && vdi.virtualSize % sizeUnit !== 0
  const parts = [planVersion, disks, basis, name, subformat, delta]
  const more = [...(compression ? [compression] : []), ...(isRounded ? [sizeUnit] : [])]
  const tag = strongTag([...parts, ...more])
  return isStreamed(format, options) ? `W/${tag}` : tag
}

/** What names the content of a VDI in a tag. */
export const contentKey = (vdi: VdiRow | undefined): readonly unknown[] => [
  vdi?.uuid,
  vdi?.contentUuid,
  vdi?.virtualSize,
]

/** Quoted, as HTTP wants it. */
export const strongTag = (parts: readonly unknown[]): string => {
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
  return `"${digest.slice(0, 32)}"`
}

export const latest = (dates: readonly Date[]): Date =>
  new Date(Math.max(...dates.map((date) => date.getTime())))
