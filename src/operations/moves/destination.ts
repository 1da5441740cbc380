// The destination of a move, as its source asks it: another server, reached by what
// host.migrate_receive of it gave.

import type { SentVdi } from '../../catalog/moves/move-tables.ts'
import type { StringMap } from '../../catalog/schema.ts'
import { AppError } from '../../errors.ts'
import { refToUuid, toRef } from '../../refs.ts'
import { remoteAddress } from '../../remote/address.ts'
import type { RemoteClient } from '../../remote/client.ts'
import { createRemoteClient } from '../../remote/client.ts'
import type {
  AskedMove,
  CompletedVdi,
  IncomingVdi,
  IncomingVmWire,
  Outcome,
  Place,
} from './wire.ts'
import { attempt, outcome, places, readAs } from './wire.ts'

type Put = Parameters<RemoteClient['put']>[0]

/**
 * All of it throws what the other server answers, and RemoteCutError where the connection broke.
 */
export interface Destination {
  readonly host: string
  /** @returns the places of the disks, in their order */
  check(move: AskedMove, signal: AbortSignal): Promise<readonly Place[]>
  /** Of an invitation. @returns the secret of an attempt, for all that follows */
  begin(signal: AbortSignal): Promise<string>
  createVdi(vdi: IncomingVdi, signal: AbortSignal): Promise<void>
  /** Another text than before an upload: the upload has been taken. */
  contentOf(vdiUuid: string, signal: AbortSignal): Promise<string>
  upload(vdiUuid: string, upload: Omit<Put, 'path'>): Promise<void>
  completeVdi(vdi: CompletedVdi, signal: AbortSignal): Promise<void>
  addVm(vm: IncomingVmWire, signal: AbortSignal): Promise<void>
  /**
   * @param vdis all that must be there
   * @returns the uuid of the VM there
   */
  commit(vdis: readonly SentVdi[]): Promise<string>
  outcome(): Promise<Outcome>
  /** @throws AppError OPERATION_NOT_ALLOWED where it has been committed */
  abort(): Promise<void>
  /** The source needs to ask no more. */
  forget(): Promise<void>
  close(): void
}

/** How a destination is reached: what an outgoing move keeps. */
export interface DestinationKey {
  readonly url: string
  readonly secret: string
  /** `plain`, `verify` and `fingerprint`: see AskedAddress. */
  readonly plain?: string
  readonly verify?: string
  readonly fingerprint?: string
}

const trustOptions = ['plain', 'verify', 'fingerprint'] as const

/**
 * @param dest what host.migrate_receive gave
 * @throws AppError INVALID_VALUE for a map that it did not give
 */
export const destinationKey = (dest: StringMap, options: StringMap): DestinationKey => {
  const { master: url, session_id: secret, host } = dest
  for (const [name, value] of Object.entries({ master: url, session_id: secret, host })) {
    if (value) continue
    const message = `dest is not what host.migrate_receive gives: it has no ${name}`
    throw new AppError('INVALID_VALUE', ['dest', name], { message })
  }
  const trust = trustOptions.flatMap((name) => {
    const value = options[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return { url: url!, secret: secret!, ...Object.fromEntries(trust) }
}

/**
 * Nothing is sent yet.
 * @param authorities PEM text of those that the certificate must come from; absent: the system's
 * @throws AppError INVALID_VALUE for an address that cannot be
 */
export const openDestination = (key: DestinationKey, authorities?: string): Destination => {
  const { secret } = key
  const client = createRemoteClient(remoteAddress(key, authorities))
  const call = (name: string, params: readonly unknown[], signal?: AbortSignal) =>
    client.call(`incoming_move.${name}`, [secret, ...params], signal)
  return {
    host: client.host,
    async check(move, signal) {
      const placed: Place[] = []
      for (const part of partsOf(move)) {
        const answer = readAs(places, await call('check', [part], signal), 'answer')
        if (answer.length !== part.disks.length) {
          throw new AppError('INTERNAL_ERROR', [`${client.host} has placed ${answer.length} disks`])
        }
        placed.push(...answer)
      }
      return placed
    },
    begin: async (signal) => readAs(attempt, await call('begin', [], signal), 'answer').secret,
    async createVdi(vdi, signal) {
      await call('create_VDI', [vdi], signal)
    },
    contentOf: async (uuid, signal) => String(await call('get_content', [toRef(uuid)], signal)),
    upload(uuid, upload) {
      const parameters = new URLSearchParams({ session_id: secret, vdi: uuid, format: 'qcow2' })
      return client.put({ ...upload, path: `/import_raw_vdi?${parameters.toString()}` })
    },
    async completeVdi(vdi, signal) {
      await call('complete_VDI', [vdi], signal)
    },
    async addVm(vm, signal) {
      await call('add_VM', [vm], signal)
    },
    async commit(vdis) {
      const uuid = refToUuid(String(await call('commit', [vdis])))
      if (uuid === undefined) throw new AppError('INTERNAL_ERROR', ['The commit names no VM'])
      return uuid
    },
    outcome: async () => readAs(outcome, await call('get_outcome', []), 'answer'),
    async abort() {
      await call('abort', [])
    },
    async forget() {
      await call('forget', [])
    },
    close: () => client.close(),
  }
}

/** Disks in one call: a server takes 1 MiB. */
const disksInCall = 2000

/** A VM with many disks is asked for in parts, each of which tells how much the others want. */
const partsOf = (move: AskedMove): AskedMove[] => {
  const parts: AskedMove[] = []
  for (let at = 0; at === 0 || at < move.disks.length; at += disksInCall) {
    const disks = move.disks.slice(at, at + disksInCall)
    const left = move.disks.filter((_disk, index) => index < at || index >= at + disksInCall)
    parts.push({ ...move, disks, others: sumBySr(left) })
  }
  return parts
}

const sumBySr = (disks: AskedMove['disks']): AskedMove['others'] => {
  const sums = new Map<string | null, number>()
  for (const { srUuid, dataSize } of disks) sums.set(srUuid, (sums.get(srUuid) ?? 0) + dataSize)
  return [...sums].map(([srUuid, dataSize]) => ({ srUuid, dataSize }))
}

/**
 * That the server is one that takes VMs from us: XenServer's own speaks of its storage in another
 * way.
 * @param hostRef as host.migrate_receive gave it
 * @throws AppError OPERATION_NOT_ALLOWED; what the server answers
 */
export const requireDiskport = async (
  { url, secret, ...trust }: DestinationKey,
  hostRef: string,
  authorities: string | undefined,
  signal: AbortSignal,
): Promise<void> => {
  const client = createRemoteClient(remoteAddress({ url, ...trust }, authorities))
  try {
    const version = await client.call('host.get_software_version', [secret, hostRef], signal)
    const brand = (version as Readonly<Record<string, unknown>> | null)?.['product_brand']
    if (brand === 'diskport') return
    const named = typeof brand === 'string' ? brand.slice(0, 64) : 'no diskport server'
    const found = `The server ${client.host} is ${named}`
    const advice = 'a halted VM is not sent there; move its disks by vdi-export and vdi-import'
    throw new AppError('OPERATION_NOT_ALLOWED', [`${found}: ${advice}`])
  } finally {
    client.close()
  }
}
