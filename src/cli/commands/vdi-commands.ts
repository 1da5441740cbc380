// What is done with VDIs beside moving their content through the client.

import { NULL_REF } from '../../catalog/refs.ts'
import { CliError } from '../cli-error.ts'
import { runBehindTask } from '../watch-task.ts'
import type { Command, CommandContext } from './command.ts'
import { refOf, uuidIn } from './command.ts'

const selfOf = (context: CommandContext): Promise<string> =>
  refOf(context, 'VDI', context.params.required('uuid'))

/** A command that is one call on one VDI and prints nothing. */
const callOn = (name: string, method: string, help: string): Command => ({
  name,
  help,
  required: ['uuid'],
  optional: [],
  async run(context) {
    await context.api(method, await selfOf(context))
  },
})

export const vdiCommands: readonly Command[] = [
  {
    name: 'vdi-create',
    help: "Creates a VDI. virtual-size is in bytes, or with a suffix such as 10GiB. The type of its file is chosen with 'sm-config:image-format=vhd', from those that sm-list shows.",
    required: ['sr-uuid', 'name-label', 'virtual-size'],
    optional: ['name-description', 'type', 'sharable', 'sm-config:', 'other-config:', 'tags'],
    isCommon: true,
    async run(context) {
      const { params, print, api } = context
      const ref = await api('VDI.create', {
        name_label: params.required('name-label'),
        name_description: params.optional('name-description') ?? '',
        SR: await refOf(context, 'SR', params.required('sr-uuid')),
        virtual_size: String(params.size('virtual-size')),
        type: params.optional('type') ?? 'user',
        sharable: params.flag('sharable'),
        read_only: false,
        other_config: params.map('other-config'),
        xenstore_data: {},
        sm_config: params.map('sm-config'),
        tags: params.optional('tags')?.split(',') ?? [],
      })
      print.lines([uuidIn(ref)])
    },
  },
  {
    ...callOn('vdi-destroy', 'VDI.destroy', 'Destroys a VDI with its content.'),
    isCommon: true,
  },
  {
    name: 'vdi-snapshot',
    help: 'Makes a snapshot of a VDI: its content at this moment, read-only.',
    required: ['uuid'],
    optional: ['driver-params:'],
    run: (context) => copyOf(context, 'VDI.snapshot'),
  },
  {
    name: 'vdi-clone',
    help: 'Makes a VDI with the content of another at this moment, and goes on apart from it. Costs no space.',
    required: ['uuid'],
    optional: ['driver-params:'],
    run: (context) => copyOf(context, 'VDI.clone'),
  },
  {
    name: 'vdi-copy',
    help: 'Copies a VDI into another storage repository (sr-uuid), or into a VDI that is there (into-vdi-uuid), if asked only what differs from a third (base-vdi-uuid).',
    required: ['uuid'],
    optional: ['sr-uuid', 'into-vdi-uuid', 'base-vdi-uuid', 'progress'],
    async run(context) {
      const { params, print } = context
      const refOrNull = async (apiName: string, name: string): Promise<string> => {
        const uuid = params.optional(name)
        return uuid === undefined ? NULL_REF : refOf(context, apiName, uuid)
      }
      if (
        params.optional('sr-uuid') === undefined &&
        params.optional('into-vdi-uuid') === undefined
      ) {
        throw new CliError('Error: Please specify one of: sr-uuid, into-vdi-uuid')
      }
      const result = await runBehindTask(
        context,
        'VDI.copy',
        await selfOf(context),
        await refOrNull('SR', 'sr-uuid'),
        await refOrNull('VDI', 'base-vdi-uuid'),
        await refOrNull('VDI', 'into-vdi-uuid'),
      )
      print.lines([uuidIn(result)])
    },
  },
  {
    name: 'vdi-resize',
    help: 'Makes a VDI larger. disk-size is in bytes, or with a suffix such as 10GiB.',
    required: ['uuid', 'disk-size'],
    optional: [],
    async run(context) {
      const size = String(context.params.size('disk-size'))
      await context.api('VDI.resize', await selfOf(context), size)
    },
  },
  {
    name: 'vdi-pool-migrate',
    help: 'Moves a VDI to another storage repository; dest-img-format chooses the type of its file there.',
    required: ['uuid', 'sr-uuid'],
    optional: ['dest-img-format', 'progress'],
    async run(context) {
      const { params, print } = context
      const format = params.optional('dest-img-format')
      const sr = await refOf(context, 'SR', params.required('sr-uuid'))
      const options = format === undefined ? {} : { 'dest-img-format': format }
      const result = await runBehindTask(
        context,
        'VDI.pool_migrate',
        await selfOf(context),
        sr,
        options,
      )
      print.lines([uuidIn(result)])
    },
  },
  callOn(
    'vdi-enable-cbt',
    'VDI.enable_cbt',
    'Says that the changes of a VDI are tracked. diskport knows them anyway; backup clients look at it.',
  ),
  callOn(
    'vdi-disable-cbt',
    'VDI.disable_cbt',
    'Says that the changes of a VDI are no longer tracked.',
  ),
  callOn(
    'vdi-data-destroy',
    'VDI.data_destroy',
    'Deletes the content of a snapshot. Which blocks have changed since can still be asked.',
  ),
  {
    name: 'vdi-list-changed-blocks',
    help: 'Shows in base64 which blocks of 64 KiB differ between two VDIs.',
    required: ['vdi-from-uuid', 'vdi-to-uuid'],
    optional: [],
    async run(context) {
      const { params, print, api } = context
      const from = await refOf(context, 'VDI', params.required('vdi-from-uuid'))
      const to = await refOf(context, 'VDI', params.required('vdi-to-uuid'))
      print.lines([String(await api('VDI.list_changed_blocks', from, to))])
    },
  },
]

const copyOf = async (context: CommandContext, method: string): Promise<void> => {
  const { params, print, api } = context
  print.lines([uuidIn(await api(method, await selfOf(context), params.map('driver-params')))])
}
