// vm-import and vm-export: whole machines as archives, over a second connection.

import { CliError } from '../cli-error.ts'
import type { Command } from './command.ts'
import { refOf, uuidIn } from './command.ts'
import { findVm, vmSelectors } from './find-vms.ts'
import { sendTransfer } from './send-transfer.ts'

export const machineCommands: readonly Command[] = [
  {
    name: 'vm-import',
    help: 'Imports the VMs in an OVA or XVA with their disks, compressed or not, all or nothing; filename=/dev/stdin is the standard input. sr-uuid is where the disks will lie; the default SR unless told. preserve=true keeps the uuids of VMs and their MAC addresses. --progress shows how far it is.',
    required: ['filename'],
    optional: ['sr-uuid', 'preserve', 'force', 'progress'],
    isCommon: true,
    async run(context) {
      const { params, print } = context
      const sr = params.optional('sr-uuid')
      const result = await sendTransfer(context, {
        label: 'VM import',
        kind: 'httpPut',
        fileName: params.required('filename'),
        path: '/import',
        query: {
          sr_id: sr === undefined ? undefined : await refOf(context, 'SR', sr),
          restore: params.flag('preserve') ? 'true' : undefined,
        },
      })
      print.lines(result.split('</value><value>').map(uuidIn))
    },
  },
  {
    name: 'vm-export',
    help: 'Exports a VM with its disks to a file, which must not exist; filename= (nothing), - or /dev/stdout is the standard output. format is ova, and that unless told. --progress shows how far it is.',
    required: ['filename'],
    optional: ['format', 'compress', 'metadata', 'progress', ...vmSelectors],
    checksNames: true,
    isCommon: true,
    async run(context) {
      const { params } = context
      for (const name of ['compress', 'metadata'] as const) {
        const value = params.optional(name)
        if (value !== undefined && params.flag(name)) {
          throw new CliError(`Error: ${name}=${value} is for XVA, which is read here, not written`)
        }
      }
      const own = ['filename', 'format', 'compress', 'metadata', 'progress']
      const { ref } = await findVm(context, own)
      await sendTransfer(context, {
        label: 'VM export',
        kind: 'httpGet',
        fileName: params.required('filename'),
        path: '/export',
        query: { ref, format: params.optional('format') ?? 'ova' },
      })
    },
  },
]
