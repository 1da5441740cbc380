// vdi-export and vdi-import: the client moves the bytes over a second connection, an ordinary
// request for this server, and the task of that request tells the outcome.

import { formatNames, formatTable } from '../../format-table.ts'
import { places } from '../../place-table.ts'
import type { Command, CommandContext } from './command.ts'
import { refOf } from './command.ts'
import { sendTransfer } from './send-transfer.ts'

const names = formatNames.join(', ')

const subformatsOf = formatNames
  .filter((name) => formatTable[name].subformats.length > 0)
  .map((name) => `${name}: ${formatTable[name].subformats.join(' or ')}`)
  .join('; ')

const compressionsOf = formatNames
  .flatMap((name) => {
    const { compressions = [] } = formatTable[name]
    return compressions.length === 0 ? [] : [`${name}: ${compressions.join(' or ')}`]
  })
  .join('; ')

const exportFormats = [
  `format is one of ${names}; raw unless told.`,
  `for is where the file goes, which decides what is not told: ${Object.keys(places).join(', ')}.`,
  `subformat is one of those of the format, the first unless told (${subformatsOf}).`,
  `compression compresses what the image holds (${compressionsOf}).`,
].join(' ')

const importFormats = `format is auto (what the file shows, compressed or not) or one of ${names}; raw unless told. Without it, a file that plainly is no raw disk is refused.`

export const transferCommands: readonly Command[] = [
  {
    name: 'vdi-export',
    help: `Exports a VDI to a file, which must not exist; filename= (nothing), - or /dev/stdout is the standard output. With base=<uuid> only what differs from that VDI. ${exportFormats} --progress shows how far it is.`,
    required: ['uuid', 'filename'],
    optional: ['for', 'format', 'subformat', 'compression', 'base', 'progress'],
    isCommon: true,
    async run(context) {
      const { params } = context
      const base = params.optional('base')
      await transfer(context, '/export_raw_vdi', {
        kind: 'httpGet',
        more: {
          base: base === undefined ? undefined : await refOf(context, 'VDI', base),
          for: params.optional('for'),
          subformat: params.optional('subformat'),
          compression: params.optional('compression'),
        },
      })
    },
  },
  {
    name: 'vdi-import',
    help: `Imports a file into a VDI, whose other blocks stay as they are; filename=/dev/stdin is the standard input. replace=true empties the VDI first. ${importFormats} A raw image from a pipe must reach the end of the VDI, unless short=true. --progress shows how far it is.`,
    required: ['uuid', 'filename'],
    optional: ['format', 'replace', 'short', 'progress'],
    isCommon: true,
    async run(context) {
      const { params } = context
      const flags = (['replace', 'short'] as const).filter((name) => params.flag(name))
      await transfer(context, '/import_raw_vdi', {
        kind: 'httpPut',
        more: Object.fromEntries(flags.map((name) => [name, 'true'])),
      })
    },
  },
]

interface ImageTransfer {
  readonly kind: 'httpGet' | 'httpPut'
  /** Of the query, beside what every transfer of an image has. */
  readonly more: Readonly<Record<string, string | undefined>>
}

const transfer = async (
  context: CommandContext,
  path: string,
  { kind, more }: ImageTransfer,
): Promise<void> => {
  const { params } = context
  await sendTransfer(context, {
    label: kind === 'httpGet' ? 'VDI export' : 'VDI import',
    kind,
    fileName: params.required('filename'),
    path,
    query: {
      vdi: await refOf(context, 'VDI', params.required('uuid')),
      // Without one the server takes raw, and refuses what plainly is something else.
      format: params.optional('format'),
      ...more,
    },
  })
}
