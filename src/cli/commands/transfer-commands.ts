// vdi-export and vdi-import: the client moves the bytes over a second connection, an ordinary request for
// this server, and the task of that request tells the outcome.

import { formatNames } from '../../formats/format.ts'
import type { Message } from '../protocol.ts'
import { trackTransfer } from '../watch-task.ts'
import type { Command, CommandContext } from './command.ts'
import { refOf } from './command.ts'

const formats = `format is one of ${formatNames.join(', ')}; raw unless told.`

export const transferCommands: readonly Command[] = [
  {
    name: 'vdi-export',
    help: `Exports a VDI to a file, which must not exist; filename=- is the standard output. With base=<uuid> only what differs from that VDI. ${formats} --progress shows how far it is.`,
    required: ['uuid', 'filename'],
    optional: ['format', 'base', 'progress'],
    isCommon: true,
    async run(context) {
      const { params } = context
      const base = params.optional('base')
      const fileName = params.required('filename')
      await transfer(context, '/export_raw_vdi', {
        kind: 'httpGet',
        fileName: fileName === '-' ? '' : fileName,
        ...(base === undefined ? {} : { base: await refOf(context, 'VDI', base) }),
      })
    },
  },
  {
    name: 'vdi-import',
    help: `Imports a file into a VDI, whose other blocks stay as they are; filename=- is the standard input. ${formats} A raw image from a pipe must reach the end of the VDI, unless short=true. --progress shows how far it is.`,
    required: ['uuid', 'filename'],
    optional: ['format', 'short', 'progress'],
    isCommon: true,
    async run(context) {
      const fileName = context.params.required('filename')
      await transfer(context, '/import_raw_vdi', {
        kind: 'httpPut',
        fileName,
        ...(context.params.flag('short') ? { short: 'true' } : {}),
      })
    },
  },
]

interface Transfer {
  readonly kind: 'httpGet' | 'httpPut'
  readonly fileName: string
  readonly base?: string
  readonly short?: string
}

const transfer = async (
  context: CommandContext,
  path: string,
  { kind, fileName, ...more }: Transfer,
): Promise<void> => {
  const { params, session, client } = context
  const vdi = await refOf(context, 'VDI', params.required('uuid'))
  const format = params.optional('format') ?? 'raw'
  await trackTransfer(context, kind === 'httpGet' ? 'VDI export' : 'VDI import', (task) => {
    const query = { session_id: session, task_id: task, vdi, format, ...more }
    const url = `${path}?${new URLSearchParams(query).toString()}`
    client.send({ kind, fileName, url } satisfies Message)
  })
}
