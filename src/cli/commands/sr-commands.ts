// Storage repositories: made, introduced, looked through, forgotten and destroyed.

import { CliError } from '../cli-error.ts'
import type { Params } from '../command-line.ts'
import type { Command, CommandContext } from './command.ts'
import { refOf, uuidIn } from './command.ts'

/** The parameters that name a folder. */
const deviceConfigKeys = { 'device-config': ['location', 'read-only', 'preferred-image-formats'] }

/** The host that `host-uuid=` names, or the only one. */
const hostOf = async (context: CommandContext): Promise<string> => {
  const uuid = context.params.optional('host-uuid')
  if (uuid !== undefined) return refOf(context, 'host', uuid)
  const [only] = (await context.api('host.get_all')) as string[]
  return only!
}

/** @throws CliError for a value that XenServer's xe would read from a file */
const readDeviceConfig = (params: Params): Record<string, string> => {
  const config = params.map('device-config')
  const fromFile = Object.keys(config).find((key) => key.endsWith('-filename'))
  if (fromFile === undefined) return config
  const found = `device-config:${fromFile} would be read from a file, which no driver here needs`
  throw new CliError(`Error: ${found}`)
}

/** A command that is one call on one object and prints nothing. */
const callOn = (name: string, method: string, help: string, apiName = 'SR'): Command => ({
  name,
  help,
  required: ['uuid'],
  optional: [],
  async run(context) {
    await context.api(method, await refOf(context, apiName, context.params.required('uuid')))
  },
})

export const srCommands: readonly Command[] = [
  {
    name: 'sr-create',
    help: "Makes a storage repository of a type that sm-list shows and scans it. 'device-config:location=/path' tells a folder of the server, which may hold images; with 'device-config:read-only=true' nothing is ever written there.",
    required: ['name-label', 'type'],
    optional: [
      'host-uuid',
      'name-description',
      'content-type',
      'shared',
      'device-config:',
      'sm-config:',
    ],
    keys: deviceConfigKeys,
    async run(context) {
      const { params, print, api } = context
      const ref = await api(
        'SR.create',
        await hostOf(context),
        readDeviceConfig(params),
        '0',
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
      const problems = (await api('SR.get_scan_problems', ref)) as Record<string, string>
      print.lines(Object.entries(problems).map(([file, reason]) => `${file}: ${reason}`))
    },
  },
  callOn(
    'sr-forget',
    'SR.forget',
    'Forgets a storage repository with its VDIs; what lies in it stays.',
  ),
  callOn('sr-destroy', 'SR.destroy', 'Destroys a storage repository that holds no VDI.'),
  callOn(
    'sr-update',
    'SR.update',
    'Says whether there is such a storage repository: its sizes are looked at whenever they are asked for.',
  ),
  {
    name: 'sr-introduce',
    help: 'Makes the record of a storage repository that was forgotten. pbd-create then says where it lies, and pbd-plug attaches it.',
    required: ['uuid', 'name-label', 'type'],
    optional: ['name-description', 'content-type', 'shared', 'sm-config:'],
    async run({ params, print, api }) {
      const ref = await api(
        'SR.introduce',
        params.required('uuid'),
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
    name: 'sr-probe',
    help: "Shows, in XML, the storage repositories in the folder 'device-config:location=/path' of the server and right below it. Changes nothing.",
    required: ['type'],
    optional: ['host-uuid', 'device-config:', 'sm-config:'],
    keys: deviceConfigKeys,
    async run(context) {
      const { params, print, api } = context
      const found = await api(
        'SR.probe',
        await hostOf(context),
        readDeviceConfig(params),
        params.required('type'),
        params.map('sm-config'),
      )
      print.lines([String(found).trimEnd()])
    },
  },
  {
    name: 'pbd-create',
    help: 'Says where a storage repository lies that has no PBD; the device-config is that of sr-create. pbd-plug attaches it.',
    required: ['host-uuid', 'sr-uuid'],
    optional: ['device-config:', 'other-config:'],
    keys: deviceConfigKeys,
    async run(context) {
      const { params, print, api } = context
      const ref = await api('PBD.create', {
        host: await hostOf(context),
        SR: await refOf(context, 'SR', params.required('sr-uuid')),
        device_config: readDeviceConfig(params),
        other_config: params.map('other-config'),
      })
      print.lines([uuidIn(ref)])
    },
  },
  ...(
    [
      ['pbd-plug', 'PBD.plug', 'Attaches a storage repository and scans it.'],
      [
        'pbd-unplug',
        'PBD.unplug',
        'Detaches a storage repository: nothing is read or written there until pbd-plug.',
      ],
      [
        'pbd-destroy',
        'PBD.destroy',
        'Forgets where a storage repository lies; its PBD must be unplugged.',
      ],
    ] as const
  ).map(([name, method, help]): Command => callOn(name, method, help, 'PBD')),
]
