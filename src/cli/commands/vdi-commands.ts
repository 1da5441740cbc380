// What is done with VDIs beside moving their content through the client.

import { NULL_REF } from '../../refs.ts'
import { toAppError } from '../../errors.ts'
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
    optional: [
      'name-description',
      'type',
      'sharable',
      'sm-config:',
      'other-config:',
      'tags',
      'tags:',
    ],
    keys: { 'sm-config': ['image-format'] },
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
        // XenServer's xe has the tags as keys, `tags:a=`.
        tags: [...(params.optional('tags')?.split(',') ?? []), ...Object.keys(params.map('tags'))],
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
    optional: [],
    async run(context) {
      const { print, api } = context
      print.lines([uuidIn(await api('VDI.snapshot', await selfOf(context)))])
    },
  },
  {
    name: 'vdi-clone',
    help: 'Makes a VDI with the content of another at this moment, and goes on apart from it. Costs no space. It has the names of the other unless told new ones.',
    required: ['uuid'],
    optional: ['new-name-label', 'new-name-description'],
    async run(context) {
      const { params, print, api } = context
      const label = params.optional('new-name-label')
      const description = params.optional('new-name-description')
      const clone = await api('VDI.clone', await selfOf(context))
      try {
        if (label !== undefined) await api('VDI.set_name_label', clone, label)
        if (description !== undefined) await api('VDI.set_name_description', clone, description)
      } catch (error) {
        await destroyUnnamed(context, clone, error)
        throw error
      }
      print.lines([uuidIn(clone)])
    },
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
      const hasSr = params.optional('sr-uuid') !== undefined
      if (hasSr === (params.optional('into-vdi-uuid') !== undefined)) {
        const either =
          'a destination sr-uuid (for a new VDI) or a destination into-vdi-uuid (for its content)'
        throw new CliError(`Error: Please specify one but not both of: ${either}`)
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
    optional: ['online'],
    async run(context) {
      const { params, api } = context
      const size = String(params.size('disk-size'))
      const method = params.flag('online') ? 'VDI.resize_online' : 'VDI.resize'
      await api(method, await selfOf(context), size)
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
    'vdi-update',
    'VDI.update',
    'Looks at the files of a VDI again: what others have changed is followed.',
  ),
  {
    name: 'vdi-unlock',
    help: 'As in XenServer, needs --force and is deprecated: a transfer that holds a VDI is stopped with task-cancel.',
    required: ['uuid'],
    optional: [],
    async run(context) {
      const vdi = await selfOf(context)
      requireForce(context)
      await context.api('VDI.force_unlock', vdi)
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
    name: 'vdi-introduce',
    help: 'Makes a VDI of an image file that lies in a storage repository; location is its name or the uuid in it.',
    required: ['uuid', 'sr-uuid', 'type', 'location'],
    optional: [
      'name-label',
      'name-description',
      'sharable',
      'read-only',
      'other-config:',
      'xenstore-data:',
      'sm-config:',
    ],
    async run(context) {
      const { params, print, api } = context
      const ref = await api(
        'VDI.introduce',
        params.required('uuid'),
        params.optional('name-label') ?? '',
        params.optional('name-description') ?? '',
        await refOf(context, 'SR', params.required('sr-uuid')),
        params.required('type'),
        params.flag('sharable'),
        params.flag('read-only'),
        params.map('other-config'),
        params.required('location'),
        params.map('xenstore-data'),
        params.map('sm-config'),
      )
      print.lines([uuidIn(ref)])
    },
  },
  callOn(
    'vdi-forget',
    'VDI.forget',
    'Forgets a VDI; its files stay, and sr-scan finds them again.',
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

/**
 * A clone that cannot be named as asked is not left behind.
 * @param reason why it could not be named
 * @throws CliError with the uuid of the clone, where it cannot be destroyed either
 */
const destroyUnnamed = async (
  { api }: CommandContext,
  clone: unknown,
  reason: unknown,
): Promise<void> => {
  try {
    await api('VDI.destroy', clone)
  } catch (error) {
    const why = `not named (${toAppError(reason).message}) and not destroyed (${toAppError(error).message})`
    const found = `VDI ${uuidIn(clone)} is made, but ${why}: destroy it with vdi-destroy`
    throw new CliError(`Error: ${found}`, { cause: error })
  }
}

/** @throws CliError */
const requireForce = ({ params }: CommandContext): void => {
  if (params.flag('force')) return
  const message =
    'This operation is dangerous and may cause data loss. This operation must be forced (use --force).'
  throw new CliError(`Error: ${message}`)
}
