// Settings: command line first, then DISKPORT_… in the environment, then defaults. All that is wrong
// with them is reported at once, in words.

import { cpus } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import type { LogLevel } from './log.ts'
import { logLevels } from './log.ts'

export interface Config {
  readonly listen: { readonly host: string; readonly port: number }
  /** Absolute path of the folder that holds everything. */
  readonly data: string
  readonly logLevel: LogLevel
  /** How many imports and exports may run at once. */
  readonly maxTransfers: number
  /** How many layers a chain may have before some are merged. */
  readonly maxChainDepth: number
  /** How fast layers are merged, in MiB a second; 0: they are not. */
  readonly coalesceRate: number
  /** Absolute paths of PEM files; undefined: HTTP without TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  /** Sets the password of root at this start; undefined: it stays, or is generated at the first start. */
  readonly rootPassword: string | undefined
}

/** What was asked for on the command line. */
export type Invocation =
  | { readonly kind: 'serve'; readonly config: Config }
  | { readonly kind: 'show'; readonly text: string }
  | { readonly kind: 'wrong'; readonly problems: readonly string[] }

const options = {
  listen: { metavar: 'HOST:PORT', help: 'where to listen', fallback: '127.0.0.1:8080' },
  data: { metavar: 'DIR', help: 'the folder for everything diskport keeps', fallback: './data' },
  'log-level': { metavar: 'LEVEL', help: logLevels.join(', '), fallback: 'info' },
  'max-transfers': {
    metavar: 'N',
    help: 'how many imports and exports may run at once',
    fallback: String(Math.max(8, cpus().length * 4)),
  },
  'max-chain-depth': {
    metavar: 'N',
    help: 'layers below a disk before some are merged',
    fallback: '8',
  },
  'coalesce-rate': {
    metavar: 'MIB',
    help: 'MiB a second at which layers are merged; 0: never',
    fallback: '64',
  },
  'tls-cert': { metavar: 'FILE', help: 'certificate in PEM: speak TLS only', fallback: '' },
  'tls-key': { metavar: 'FILE', help: 'its key in PEM; both read again on SIGHUP', fallback: '' },
} as const

type OptionName = keyof typeof options

const environmentName = (name: string): string =>
  `DISKPORT_${name.toUpperCase().replaceAll('-', '_')}`

const listenSchema = z.string().transform((text, context) => {
  // [::1]:8080, 0.0.0.0:8080, localhost:8080, :8080 (all addresses), 8080 (this machine only)
  const match = /^(?:\[([0-9a-f:.]+)\]:|([^:[\]]*):)?(\d{1,5})$/i.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) {
    context.addIssue({ code: 'custom', message: 'must be HOST:PORT with a port from 0 to 65535' })
    return z.NEVER
  }
  const named = match[1] ?? match[2]
  return { host: named === undefined ? '127.0.0.1' : named || '::', port }
})

const countSchema = (minimum: number, maximum: number) => {
  const message = `must be a whole number from ${minimum} to ${maximum}`
  return z
    .string()
    .regex(/^\d{1,6}$/, message)
    .transform(Number)
    .refine((count) => count >= minimum && count <= maximum, message)
}

/** Nothing, or a file. */
const fileSchema = z.string().transform((path) => (path === '' ? undefined : resolve(path)))

const schema: Readonly<Record<OptionName, z.ZodType>> = {
  listen: listenSchema,
  data: z
    .string()
    .min(1, 'must name a folder')
    .transform((path) => resolve(path)),
  'log-level': z.enum(logLevels, { error: () => `must be one of ${logLevels.join(', ')}` }),
  'max-transfers': countSchema(1, 1000),
  'max-chain-depth': countSchema(1, 64),
  'coalesce-rate': countSchema(0, 100_000),
  'tls-cert': fileSchema,
  'tls-key': fileSchema,
}

const rootPasswordSchema = z
  .string()
  .min(1, 'must not be empty')
  .max(1024, 'must be at most 1024 characters')
  .optional()

/** @param args what stands behind `diskport` on the command line */
export const readInvocation = (
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Invocation => {
  let values: Partial<Record<string, string | boolean>>
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
    const value = fromArgs ?? fromEnvironment ?? options[name].fallback
    const source = fromArgs === undefined ? environmentName(name) : `--${name}`
    const result = schema[name].safeParse(value)
    if (result.success) return result.data
    problems.push(`${source} is "${String(value)}": ${result.error.issues[0]?.message}`)
    return undefined
  }
  const cert = read('tls-cert') as string | undefined
  const key = read('tls-key') as string | undefined
  if ((cert === undefined) !== (key === undefined)) {
    problems.push('--tls-cert and --tls-key must be given together')
  }
  const config = {
    listen: read('listen'),
    data: read('data'),
    logLevel: read('log-level'),
    maxTransfers: read('max-transfers'),
    maxChainDepth: read('max-chain-depth'),
    coalesceRate: read('coalesce-rate'),
    tls: cert === undefined || key === undefined ? undefined : { cert, key },
    rootPassword: environment['DISKPORT_ROOT_PASSWORD'],
  } as Config
  const password = rootPasswordSchema.safeParse(config.rootPassword)
  if (!password.success) {
    problems.push(`DISKPORT_ROOT_PASSWORD ${password.error.issues[0]?.message}`)
  }
  if (problems.length > 0) return { kind: 'wrong', problems }
  if (values['show-config'] === true) return { kind: 'show', text: configText(config) }
  return { kind: 'serve', config }
}

const parseCommandLine = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    strict: true,
    allowPositionals: false,
    options: {
      listen: { type: 'string' },
      data: { type: 'string' },
      'log-level': { type: 'string' },
      'max-transfers': { type: 'string' },
      'max-chain-depth': { type: 'string' },
      'coalesce-rate': { type: 'string' },
      'tls-cert': { type: 'string' },
      'tls-key': { type: 'string' },
      'show-config': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  }).values

const configText = (config: Config): string => {
  const { listen, data, logLevel, tls, rootPassword } = config
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host
  return [
    `listen = ${host}:${listen.port}`,
    `data = ${data}`,
    `log-level = ${logLevel}`,
    `max-transfers = ${config.maxTransfers}`,
    `max-chain-depth = ${config.maxChainDepth}`,
    `coalesce-rate = ${config.coalesceRate}`,
    `tls-cert = ${tls?.cert ?? '(none: HTTP without TLS)'}`,
    `tls-key = ${tls?.key ?? '(none)'}`,
    `root-password = ${rootPassword === undefined ? '(as it is, or generated at the first start)' : '(set)'}`,
  ].join('\n')
}

const helpText = (): string => {
  const lines = Object.entries(options).map(([name, { metavar, help, fallback }]) => {
    const usage = `--${name} ${metavar}`.padEnd(26)
    return `  ${usage}${help} (${environmentName(name)}; default ${fallback || 'none'})`
  })
  return [
    'diskport: streams virtual disk images in and out over HTTP',
    '',
    'usage: diskport [options]',
    '',
    ...lines,
    `  ${'--show-config'.padEnd(26)}print the settings and exit`,
    `  ${'--help'.padEnd(26)}print this and exit`,
    '',
    'DISKPORT_ROOT_PASSWORD sets the password of the user root; without it the first start makes one and shows it once.',
  ].join('\n')
}
