// Storage repositories, and what runs on them: tasks.

import type { Command } from './command.ts'
import { refOf, uuidIn } from './command.ts'

export const srCommands: readonly Command[] = [
  {
    name: 'sr-create',
    help: "Makes a storage repository of a type that sm-list shows and scans it. 'device-config:location=/path' tells a folder of the server, which may hold images; with 'device-config:read-only=true' nothing is ever written there.",
    required: ['name-label', 'type'],
    optional: [
      'host-uuid',
      'name-description',
      'physical-size',
      'content-type',
      'shared',
      'device-config:',
      'sm-config:',
    ],
    async run(context) {
      const { params, print, api } = context
      const hostUuid = params.optional('host-uuid')
      const [onlyHost] = (await api('host.get_all')) as string[]
      const size = params.optional('physical-size') === undefined ? 0 : params.size('physical-size')
      const ref = await api(
        'SR.create',
        hostUuid === undefined ? onlyHost : await refOf(context, 'host', hostUuid),
        params.map('device-config'),
        String(size),
        params.required('name-label'),
        params.optional('name-description') ?? '',
        params.required('type'),
        params.optional('content-type') ?? '',
        params.flag('shared'),
        params.map('sm-config'),
      )
      print.lines([uuidIn(ref)])
    },
  },
  {
    name: 'sr-scan',
    help: 'Looks for image files in a storage repository: new ones become VDIs, changed ones are read anew. Says what is wrong with those that cannot be used.',
    required: ['uuid'],
    optional: [],
    async run(context) {
      const { params, print, api } = context
      const ref = await refOf(context, 'SR', params.required('uuid'))
      await api('SR.scan', ref)
      const { 'scan-problems': problems } = (await api('SR.get_sm_config', ref)) as {
        'scan-problems'?: string
      }
      if (problems !== undefined) print.lines(problems.split('\n'))
    },
  },
  {
    name: 'sr-forget',
    help: 'Forgets a storage repository with its VDIs; what lies in it stays.',
    required: ['uuid'],
    optional: [],
    async run(context) {
      await context.api('SR.forget', await refOf(context, 'SR', context.params.required('uuid')))
    },
  },
  {
    name: 'sr-destroy',
    help: 'Destroys a storage repository that holds no VDI.',
    required: ['uuid'],
    optional: [],
    async run(context) {
      await context.api('SR.destroy', await refOf(context, 'SR', context.params.required('uuid')))
    },
  },
  {
    name: 'vdi-introduce',
    help: 'Makes a VDI of an image file that lies in a storage repository; location is its name or the uuid in it.',
    required: ['uuid', 'sr-uuid', 'type', 'location'],
    optional: ['name-label', 'name-description', 'sharable', 'read-only', 'other-config:'],
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
      )
      print.lines([uuidIn(ref)])
    },
  },
  {
    name: 'vdi-forget',
    help: 'Forgets a VDI; its files stay, and sr-scan finds them again.',
    required: ['uuid'],
    optional: [],
    async run(context) {
      await context.api('VDI.forget', await refOf(context, 'VDI', context.params.required('uuid')))
    },
  },
  {
    name: 'task-cancel',
    help: 'Tells a running task to stop.',
    required: ['uuid'],
    optional: [],
    async run(context) {
      const ref = await refOf(context, 'task', context.params.required('uuid'))
      await context.api('task.cancel', ref)
    },
  },
]
