// The formats that images may come and go in, with what each can carry: from the table that the
// code itself uses. Reads nothing else.

import type { FormatName } from '../format-table.ts'
import { formatNames, formatTable } from '../format-table.ts'
import { archiveNames } from '../formats/known-forms.ts'
import { formats } from '../formats/registry.ts'
import { places } from '../place-table.ts'
import { MAXIMUM_DISK_SIZE, SECTOR_SIZE } from '../units.ts'
import { compressions } from '../wrapping/compressions.ts'

interface ListedFormat {
  /** What `format` says. */
  readonly name: FormatName
  /** Of file names, without the dot, the usual one first. */
  readonly endings: readonly string[]
  readonly mediaType: string
  /** What QEMU calls it; null where it does not know it. */
  readonly qemuName: string | null
  /** Of a disk in it, in bytes. */
  readonly maximumSize: number
  readonly importsDeltas: boolean
  readonly exportsDeltas: boolean
  /** What an export may be, the default first; the name is null where there is one kind only. */
  readonly exports: readonly ListedExport[]
  /** What `compression` may say of an export, which then has no length. */
  readonly exportCompressions: readonly string[]
  /** Whether VDIs may lie in it. */
  readonly holdsVdis: boolean
}

interface ListedExport {
  readonly subformat: string | null
  /** Whether it has a Content-Length and answers ranges. */
  readonly hasLength: boolean
}

interface ListedCompression {
  readonly name: string
  /** What Content-Encoding calls it. */
  readonly codings: readonly string[]
}

interface ListedPlace {
  /** What `for` says of an export. */
  readonly name: string
  readonly format: FormatName
  /** Null where the format has one kind only. */
  readonly subformat: string | null
  /** The size of the disk is a multiple of it, in bytes. */
  readonly sizeUnit: number
}

interface ListedArchive {
  /** What `format` says. */
  readonly name: string
  /** Whether VMs are exported as one; all are imported. */
  readonly isWritten: boolean
}

export const listFormats = (): {
  readonly formats: readonly ListedFormat[]
  /** What may be around an image that is imported. */
  readonly compressions: readonly ListedCompression[]
  readonly places: readonly ListedPlace[]
  /** Of whole machines. */
  readonly archives: readonly ListedArchive[]
} => ({
  archives: archiveNames.map((name) => ({ name, isWritten: name === 'ova' })),
  formats: formatNames.map(describe),
  compressions: compressions.map(({ name, codings }) => ({ name, codings })),
  places: Object.entries(places).map(([name, { format, subformat, sizeUnit }]) => ({
    name,
    format,
    subformat: subformat ?? null,
    sizeUnit: sizeUnit ?? SECTOR_SIZE,
  })),
})

const describe = (name: FormatName): ListedFormat => {
  const { endings, mediaType, qemuName, mayHoldVdis, ...facts } = formatTable[name]
  const { subformats, streamed, compressions: exportCompressions = [] } = facts
  const { importsDeltas, exportsDeltas } = facts
  const kinds = subformats.length === 0 ? [null] : subformats
  return {
    name,
    endings,
    mediaType,
    qemuName: qemuName ?? null,
    maximumSize: Math.min(formats[name].maximumSize, MAXIMUM_DISK_SIZE),
    importsDeltas,
    exportsDeltas,
    exports: kinds.map((subformat) => ({
      subformat,
      hasLength: subformat === null || !streamed.includes(subformat),
    })),
    exportCompressions,
    holdsVdis: mayHoldVdis,
  }
}
