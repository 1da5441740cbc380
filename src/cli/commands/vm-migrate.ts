// vm-migrate: logs in at another server, asks it to let a VM in, and has this one send it.

import { AppError } from '../../errors.ts'
import { NULL_REF } from '../../refs.ts'
import { remoteAddress } from '../../remote/address.ts'
import type { RemoteClient } from '../../remote/client.ts'
import { createRemoteClient } from '../../remote/client.ts'
import { RemoteCutError } from '../../remote/remote-errors.ts'
import type { ApiRecord } from '../cli-class.ts'
import { CliError } from '../cli-error.ts'
import type { Params } from '../command-line.ts'
import { runBehindTask } from '../watch-task.ts'
import type { Command, CommandContext } from './command.ts'
import { refOf, uuidIn } from './command.ts'
import type { FoundVm } from './find-vms.ts'
import { findVm, vmSelectors } from './find-vms.ts'

const login = ['remote-master', 'remote-username', 'remote-password'] as const
const trust = ['plain', 'verify', 'fingerprint'] as const

/** A design of XenServer's says `image_format`, its programs `image-format`. */
const maps = ['vdi:', 'vif:', 'image-format:', 'image_format:'] as const

const own = [
  ...login,
  ...trust,
  ...maps,
  'remote-network',
  'host',
  'host-uuid',
  'live',
  'copy',
  'force',
  'compress',
  'progress',
] as const

/** Calls at the other server, the session first. */
type Ask = (method: string, ...params: unknown[]) => Promise<unknown>

export const vmMigrateCommand: Command = {
  name: 'vm-migrate',
  help: "Moves a VM with its snapshots and disks to another server. 'vdi:<uuid>=<sr uuid>' says where a disk goes, 'image-format:<uuid>=<format>' in which format, 'vif:<uuid>=<network uuid>' which network an interface has there; with copy=true the VM stays here, too. remote-master may hold a port. The server's certificate is checked; fingerprint=<SHA-256> checks it by that, verify=false not at all; plain=true speaks HTTP.",
  required: [],
  optional: [...own, ...vmSelectors],
  checksNames: true,
  async run(context) {
    const { params } = context
    const vm = await findVm(context, own)
    requireRemote(params)
    const client = openRemote(context)
    try {
      await withRemoteSession(client, params, (ask) => migrate(context, client, vm, ask))
    } catch (error) {
      throw error instanceof RemoteCutError ? new CliError(`Error: ${error.message}`) : error
    } finally {
      client.close()
    }
  },
}

/** @throws CliError */
const requireRemote = (params: Params): void => {
  const missing = login.filter((name) => params.optional(name) === undefined)
  if (missing.length === 0) return
  const isAsked =
    missing.length < login.length ||
    params.optional('remote-network') !== undefined ||
    maps.some((name) => Object.keys(params.map(name.slice(0, -1))).length > 0)
  if (isAsked) {
    throw new CliError(
      'Error: A move to another server needs all of remote-master, remote-username and remote-password',
    )
  }
  const found = 'There is no other host in this pool: VMs move to another server'
  throw new CliError(`Error: ${found}; name it by remote-master, remote-username, remote-password`)
}

/** @throws CliError, AppError INVALID_VALUE */
const openRemote = ({ params, authorities }: CommandContext): RemoteClient => {
  const master = params.required('remote-master')
  const isPlain = params.optional('plain') !== undefined && params.flag('plain')
  const url = master.includes('://') ? master : `${isPlain ? 'http' : 'https'}://${master}`
  const asked = Object.fromEntries(
    trust.flatMap((name) => {
      const value = params.optional(name)
      return value === undefined ? [] : [[name, value] as const]
    }),
  )
  return createRemoteClient(remoteAddress({ ...asked, url }, authorities))
}

/** Logs out whatever happens. */
const withRemoteSession = async (
  client: RemoteClient,
  params: Params,
  work: (ask: Ask) => Promise<void>,
): Promise<void> => {
  const credentials = [params.required('remote-username'), params.required('remote-password')]
  const session = await client
    .call('session.login_with_password', [...credentials, '1.0', 'xe'])
    .catch((error: unknown) => {
      throw refusedLogin(error, client.host)
    })
  const ask: Ask = (method, ...rest) => client.call(method, [session, ...rest])
  try {
    await work(ask)
  } finally {
    // The move has its outcome already.
    await ask('session.logout').catch(() => {})
  }
}

/** Not to be taken for a refusal of this server. */
const refusedLogin = (error: unknown, host: string): unknown =>
  error instanceof AppError && error.code === 'SESSION_AUTHENTICATION_FAILED'
    ? new CliError(`Error: The server ${host} refuses the user or the password`, { cause: error })
    : error

const migrate = async (
  context: CommandContext,
  client: RemoteClient,
  vm: FoundVm,
  ask: Ask,
): Promise<void> => {
  const { params, print } = context
  const host = await hostOf(params, ask)
  const network = await networkOf(params, ask, host.ref)
  const disks = await disksOf(context, vm)
  const srOfVdi = await chooseSrs(context, disks, ask)
  const isMinimal = params.flag('minimal')
  const say = (text: string): void => {
    if (!isMinimal) context.client.send({ kind: 'printStderr', text: `${text}\n` })
  }
  say(`Will migrate to remote host: ${String(host.record['name_label'])} at ${client.host}`)
  for (const disk of disks) say(`VDI ${uuidIn(disk)} -> SR ${uuidIn(srOfVdi[disk])}`)
  const dest = (await ask('host.migrate_receive', host.ref, network, {})) as Record<string, string>
  const copies = params.flag('copy')
  const result = await runBehindTask(
    context,
    'VM.migrate_send',
    vm.ref,
    dest,
    params.optional('live') === undefined || params.flag('live'),
    srOfVdi,
    await vifMap(context, ask),
    { ...options(params), copy: String(copies) },
    {},
    await formatMap(context),
  )
  if (copies) print.lines([uuidIn(result)])
}

const options = (params: Params): Record<string, string> => {
  const given = [...trust, 'force', 'live', 'compress'].flatMap((name) => {
    const value = params.optional(name)
    return value === undefined ? [] : [[name, value] as const]
  })
  return Object.fromEntries(given)
}

interface Found {
  readonly ref: string
  readonly record: ApiRecord
}

const allOf = async (ask: Ask, className: string): Promise<Found[]> => {
  const records = (await ask(`${className}.get_all_records`)) as Readonly<Record<string, ApiRecord>>
  return Object.entries(records).map(([ref, record]) => ({ ref, record }))
}

/** @throws CliError */
const hostOf = async (params: Params, ask: Ask): Promise<Found> => {
  const hosts = await allOf(ask, 'host')
  const wanted = params.optional('host-uuid') ?? params.optional('host')
  const found =
    wanted === undefined
      ? hosts[0]
      : hosts.find(({ record }) =>
          [record['uuid'], record['hostname'], record['name_label']].includes(wanted),
        )
  if (found !== undefined) return found
  throw new CliError(`Error: There is no host ${wanted ?? ''} at the remote server`)
}

/** The one that is named, or that of the management interface. @throws CliError */
const networkOf = async (params: Params, ask: Ask, hostRef: string): Promise<string> => {
  const wanted = params.optional('remote-network')
  if (wanted === undefined) {
    const pifs = await allOf(ask, 'PIF')
    const own = pifs.find(
      ({ record }) => record['management'] === true && record['host'] === hostRef,
    )
    if (own !== undefined) return String(own.record['network'])
    throw new CliError('Error: The remote host has no management interface: name a remote-network')
  }
  const found = (await allOf(ask, 'network')).find(({ record }) =>
    [record['uuid'], record['bridge'], record['name_label']].includes(wanted),
  )
  if (found !== undefined) return found.ref
  throw new CliError(`Error: There is no network ${wanted} at the remote server`)
}

/** References of the VDIs of the VM's disks; snapshots follow them. */
const disksOf = async ({ api }: CommandContext, { record }: FoundVm): Promise<string[]> => {
  const disks = new Set<string>()
  for (const vbd of record['VBDs'] as string[]) {
    const { VDI, type } = (await api('VBD.get_record', vbd)) as ApiRecord
    if (type !== 'CD' && VDI !== NULL_REF) disks.add(String(VDI))
  }
  return [...disks]
}

/** By reference of the VDI. A disk that is not named goes where there is most room. */
const chooseSrs = async (
  context: CommandContext,
  disks: readonly string[],
  ask: Ask,
): Promise<Record<string, string>> => {
  const named: Record<string, string> = {}
  for (const [vdi, sr] of Object.entries(context.params.map('vdi'))) {
    named[await refOf(context, 'VDI', vdi)] = String(await ask('SR.get_by_uuid', sr))
  }
  const unnamed = disks.filter((disk) => named[disk] === undefined)
  if (unnamed.length === 0) return named
  const roomy = await roomiest(ask)
  return { ...Object.fromEntries(unnamed.map((disk) => [disk, roomy])), ...named }
}

/** The shared one with most room, then the local one. @throws CliError */
const roomiest = async (ask: Ask): Promise<string> => {
  const attached = new Set(
    (await allOf(ask, 'PBD'))
      .filter(({ record }) => record['currently_attached'] === true)
      .map(({ record }) => record['SR']),
  )
  const free = ({ record }: Found): number =>
    Number(record['physical_size']) - Number(record['physical_utilisation'])
  const [best] = (await allOf(ask, 'SR'))
    .filter(({ ref, record }) => attached.has(ref) && record['content_type'] !== 'iso')
    .toSorted(
      (a, b) => Number(b.record['shared']) - Number(a.record['shared']) || free(b) - free(a),
    )
  if (best !== undefined) return best.ref
  throw new CliError('Error: The remote server has no storage repository: name one by vdi:')
}

const vifMap = async (context: CommandContext, ask: Ask): Promise<Record<string, string>> => {
  const networks: Record<string, string> = {}
  for (const [vif, network] of Object.entries(context.params.map('vif'))) {
    networks[await refOf(context, 'VIF', vif)] = String(await ask('network.get_by_uuid', network))
  }
  return networks
}

/** @throws CliError for a disk that is named twice, AppError UUID_INVALID */
const formatMap = async (context: CommandContext): Promise<Record<string, string>> => {
  const { params } = context
  const formats: Record<string, string> = {}
  const asked = [
    ...Object.entries(params.map('image-format')),
    ...Object.entries(params.map('image_format')),
  ]
  for (const [vdi, format] of asked) {
    const ref = await refOf(context, 'VDI', vdi)
    if (formats[ref] !== undefined) {
      throw new AppError('MAP_DUPLICATE_KEY', ['vm-migrate', 'image-format', vdi, vdi])
    }
    formats[ref] = format
  }
  return formats
}
