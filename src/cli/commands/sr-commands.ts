// Storage repositories, and what runs on them: tasks.

import type { Command } from './command.ts'
import { refOf, uuidIn } from './command.ts'

export const srCommands: readonly Command[] = [
  {
    name: 'sr-create',
    help: "Makes a storage repository of a type that sm-list shows. Its place is told with 'device-config:key=value'.",
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
    help: 'Looks at a storage repository again and brings its record up to date.',
    required: ['uuid'],
    optional: [],
    async run(context) {
      await context.api('SR.scan', await refOf(context, 'SR', context.params.required('uuid')))
    },
  },
  {
    name: 'sr-forget',
    help: 'Forgets a storage repository; what lies in it stays.',
    required: ['uuid'],
    optional: [],
    async run(context) {
      await context.api('SR.forget', await refOf(context, 'SR', context.params.required('uuid')))
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
