// Settings: command line first, then DISKPORT_… in the environment, then defaults. All that is
// wrong with them is reported at once, in words.

import { parseArgs } from 'node:util'
import { z } from 'zod'
import type { ListenAddress } from './config-values.ts'
import {
  countSchema,
  dataSchema,
  fileSchema,
  listenPlainSchema,
  listenSchema,
  rootPasswordSchema,
  rootsSchema,
  sizeSchema,
  urlSchema,
} from './config-values.ts'
import type { Option, OptionName } from './config-options.ts'
import { environmentName, helpText, options } from './config-options.ts'
import type { LogLevel } from './log.ts'
import { logLevels } from './log.ts'

export type { ListenAddress } from './config-values.ts'

export interface Config {
  readonly listen: ListenAddress
  /** Where plain HTTP is spoken beside TLS: a loopback address. */
  readonly listenPlain: ListenAddress | undefined
  /** Absolute path of the folder that holds everything. */
  readonly data: string
  /**
   * Absolute paths of the folders in which others than pool-admins may make storage repositories.
   */
  readonly srRoots: readonly string[]
  readonly logLevel: LogLevel
  /** The number of transfers that may be busy at once; the others wait for their turn. */
  readonly maxTransfers: number
  /** The number of transfers that may be open at once, including those with stalled clients. */
  readonly maxOpenTransfers: number
  /** What of one upload may wait on the storage, in bytes; undefined: half of what is free. */
  readonly spoolLimit: number | undefined
  /** How long a client may take or send nothing in the middle of a transfer, in seconds. */
  readonly stallTimeout: number
  /** The number of layers that a chain may have before some are merged. */
  readonly maxChainDepth: number
  /** How fast layers are merged, in MiB a second; 0: they are not. */
  readonly coalesceRate: number
  /**
   * Absolute paths of PEM files, or a certificate of our own making; undefined: HTTP without TLS.
   */
  readonly tls: { readonly cert: string; readonly key: string } | 'self-signed' | undefined
  /**
   * Sets the password of root at this start; undefined: it stays, or is generated at the first
   * start.
   */
  readonly rootPassword: string | undefined
  /**
   * How other servers reach this one; without a slash at the end; undefined: as their clients do.
   */
  readonly advertise: string | undefined
  /**
   * Absolute path of PEM certificates that other servers' must come from; undefined: the system's.
   */
  readonly migrateCa: string | undefined
  /** After how long without a word a VM that was on its way here is given up, in minutes. */
  readonly moveExpiry: number
}

/** What was asked for on the command line. */
type Invocation =
  | { readonly kind: 'serve'; readonly config: Config }
  | { readonly kind: 'show'; readonly text: string }
  | { readonly kind: 'wrong'; readonly problems: readonly string[] }

/**
 * The data folder alone, for commands that need nothing else: its absolute path, or what is wrong
 * with the setting.
 */
export const readDataFolder = (
  fromArgs: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): { readonly path: string } | { readonly problem: string } => {
  const value = fromArgs ?? environment[environmentName('data')] ?? options.data.fallback
  const result = dataSchema.safeParse(value)
  if (result.success) return { path: result.data }
  const source = fromArgs === undefined ? environmentName('data') : '--data'
  return { problem: `${source} is "${value}": ${result.error.issues[0]?.message}` }
}

const schema: Readonly<Record<OptionName, z.ZodType>> = {
  listen: listenSchema,
  data: dataSchema,
  'sr-root': rootsSchema,
  'log-level': z.enum(logLevels, { error: () => `must be one of ${logLevels.join(', ')}` }),
  'max-transfers': countSchema(1, 1000),
  'max-open-transfers': countSchema(1, 100_000),
  'spool-limit': sizeSchema,
  'stall-timeout': countSchema(1, 86_400),
  'max-chain-depth': countSchema(1, 64),
  'coalesce-rate': countSchema(0, 100_000),
  'tls-cert': fileSchema,
  'tls-key': fileSchema,
  'tls-self-signed': z
    .enum(['true', 'false'], { error: () => 'must be true or false' })
    .transform((value) => value === 'true'),
  'listen-plain': listenPlainSchema,
  advertise: urlSchema,
  'migrate-ca': fileSchema,
  'move-expiry': countSchema(1, 100_000),
}

/** @param args what stands behind `diskport` on the command line */
export const readInvocation = (
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Invocation => {
  let values: Partial<Record<string, string | boolean | (string | boolean)[]>>
  try {
    values = parseCommandLine(args)
  } catch (error) {
    return { kind: 'wrong', problems: [error instanceof Error ? error.message : String(error)] }
  }
  if (values['help'] === true) return { kind: 'show', text: helpText() }

  const problems: string[] = []
  const read = (name: OptionName): unknown => {
    const fromArgs = values[name]
    const fromEnvironment = environment[environmentName(name)]
    const given = Array.isArray(fromArgs) ? fromArgs.join(':') : fromArgs
    const value = String(given ?? fromEnvironment ?? options[name].fallback)
    const source = fromArgs === undefined ? environmentName(name) : `--${name}`
    const result = schema[name].safeParse(value)
    if (result.success) return result.data
    problems.push(`${source} is "${value}": ${result.error.issues[0]?.message}`)
    return undefined
  }
  const config = {
    listen: read('listen'),
    data: read('data'),
    srRoots: read('sr-root'),
    logLevel: read('log-level'),
    maxTransfers: read('max-transfers'),
    maxOpenTransfers: read('max-open-transfers'),
    spoolLimit: read('spool-limit'),
    stallTimeout: read('stall-timeout'),
    maxChainDepth: read('max-chain-depth'),
    coalesceRate: read('coalesce-rate'),
    tls: readTls(read, problems),
    listenPlain: read('listen-plain'),
    rootPassword: environment['DISKPORT_ROOT_PASSWORD'],
    advertise: read('advertise'),
    migrateCa: read('migrate-ca'),
    moveExpiry: read('move-expiry'),
  } as Config
  if (config.listenPlain !== undefined && config.tls === undefined) {
    problems.push('--listen-plain goes beside TLS; without it --listen is plain HTTP already')
  }
  const password = rootPasswordSchema.safeParse(config.rootPassword)
  if (!password.success) {
    problems.push(`DISKPORT_ROOT_PASSWORD ${password.error.issues[0]?.message}`)
  }
  if (problems.length > 0) return { kind: 'wrong', problems }
  if (values['show-config'] === true) return { kind: 'show', text: configText(config) }
  return { kind: 'serve', config }
}

const readTls = (read: (name: OptionName) => unknown, problems: string[]): Config['tls'] => {
  const cert = read('tls-cert') as string | undefined
  const key = read('tls-key') as string | undefined
  const isSelfSigned = read('tls-self-signed') === true
  if ((cert === undefined) !== (key === undefined)) {
    problems.push('--tls-cert and --tls-key must be given together')
  }
  if (isSelfSigned && (cert ?? key) !== undefined) {
    problems.push('--tls-self-signed makes its own certificate: not with --tls-cert and --tls-key')
  }
  if (isSelfSigned) return 'self-signed'
  return cert === undefined || key === undefined ? undefined : { cert, key }
}

const parseCommandLine = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    strict: true,
    allowPositionals: false,
    options: {
      ...Object.fromEntries(
        Object.entries<Option>(options).map(([name, { metavar, repeats }]) => [
          name,
          {
            type: metavar === undefined ? 'boolean' : 'string',
            multiple: repeats === true,
          } as const,
        ]),
      ),
      'show-config': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  }).values

const configText = (config: Config): string => {
  const { listen, listenPlain, data, logLevel, tls, rootPassword } = config
  const files = tls === 'self-signed' ? undefined : tls
  return [
    `listen = ${addressText(listen)}`,
    `listen-plain = ${listenPlain === undefined ? '(none)' : addressText(listenPlain)}`,
    `data = ${data}`,
    `sr-root = ${config.srRoots.length === 0 ? '(none)' : config.srRoots.join(':')}`,
    `log-level = ${logLevel}`,
    `max-transfers = ${config.maxTransfers}`,
    `max-open-transfers = ${config.maxOpenTransfers}`,
    `spool-limit = ${config.spoolLimit ?? '(half of what is free)'}`,
    `stall-timeout = ${config.stallTimeout}`,
    `max-chain-depth = ${config.maxChainDepth}`,
    `coalesce-rate = ${config.coalesceRate}`,
    `tls-self-signed = ${tls === 'self-signed'}`,
    `tls-cert = ${files?.cert ?? (tls === undefined ? '(none: HTTP without TLS)' : '(none)')}`,
    `tls-key = ${files?.key ?? '(none)'}`,
    `advertise = ${config.advertise ?? '(as clients reach it)'}`,
    `migrate-ca = ${config.migrateCa ?? "(the system's)"}`,
    `move-expiry = ${config.moveExpiry}`,
    `root-password = ${rootPassword === undefined ? '(as it is, or generated at the first start)' : '(set)'}`,
  ].join('\n')
}

const addressText = ({ host, port }: ListenAddress): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`
