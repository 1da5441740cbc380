// ETags and times of change of what is sent of a VDI: the same tag means the same bytes. Made of
// names and numbers alone, no data is read.

import { createHash } from 'node:crypto'
import type { VdiRow } from '../../catalog/vdis.ts'
import { formatTable } from '../../format-table.ts'
import { places } from '../../place-table.ts'
import type { ImageFormat, PlanOptions } from '../../formats/format.ts'
import { formats } from '../../formats/registry.ts'
import type { OpenedContent } from '../../store/reading/opened-content.ts'
import type { ExportOptions } from './export-form.ts'

interface Validators {
  /** Strong, and quoted as HTTP wants it. */
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
    [undefined, ...formatTable[format.name].subformats].flatMap((subformat) =>
      deltaForms.flatMap((delta) => {
        const options = { ...(subformat && { subformat }), ...(delta && { delta }) }
        return sizeUnits.map((sizeUnit) =>
          exportTag({ vdi, basis: '' }, format, { ...options, ...(sizeUnit && { sizeUnit }) }),
        )
      }),
    ),
  )
  const planDates = Object.values(formats).map(({ planDate }) => planDate)
  return { etags: [...new Set(etags)], changedAt: latest([...planDates, vdi.changedAt]) }
}

/** What places round the size to, and none. */
const sizeUnits = [undefined, ...new Set(Object.values(places).map(({ sizeUnit }) => sizeUnit))]

const deltaForms: readonly PlanOptions['delta'][] = [undefined, 'compatible', 'compact']

/**
 * Everything that the bytes depend on: content, size, format and options, and how a delta was
 * found.
 */
export const exportTag = (
  { vdi, baseVdi, basis }: Pick<OpenedContent, 'vdi' | 'baseVdi' | 'basis'>,
  { name, planVersion }: ImageFormat,
  options: ExportOptions,
): string => {
  const disks = [vdi, baseVdi].map(contentKey)
  const { subformat, delta, sizeUnit } = options
  const isRounded = sizeUnit !== undefined && vdi.virtualSize % sizeUnit !== 0
  return strongTag([planVersion, disks, basis, name, subformat, delta, isRounded && sizeUnit])
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
