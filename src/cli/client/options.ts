// What xe itself takes of its command line, ~/.xe and XE_EXTRA_ARGS; all the rest is the server's.
// The command line counts most, then the environment, then the file.

import { UsageError } from './usage.ts'

export interface XeOptions {
  readonly server: string
  /** undefined: 443 with TLS, 80 without. */
  readonly port: number | undefined
  readonly useTls: boolean
  /**
   * PEM of the authority that the server's certificate must come from; undefined: any certificate
   * will do, as for the real xe.
   */
  readonly authorityFile: string | undefined
  readonly username: string
  /** undefined: not given anywhere. */
  readonly password: string | undefined
  /** Holds user and password in two lines; counts more than both. */
  readonly passwordFile: string | undefined
  readonly debug: boolean
  /** For the server: the command first. */
  readonly args: readonly string[]
}

/** Options that are followed by a value, and their names in `name=value`. */
const withValue: Readonly<Record<string, string>> = {
  '-s': 'server',
  '-h': 'server',
  '-p': 'port',
  '-u': 'username',
  '-pw': 'password',
  '-pwf': 'passwordfile',
  '--cacert': 'cacert',
}

const flags: Readonly<Record<string, string>> = { '--nossl': 'nossl', '--debug': 'debug' }

const ownNames = new Set([...Object.values(withValue), ...Object.values(flags)])

/**
 * @param rc the content of ~/.xe; empty where there is none
 * @param extra XE_EXTRA_ARGS: parted by commas, `\,` is a comma
 * @throws UsageError for an invalid port, a flag that is neither true nor false, a missing
 *   value
 */
export const readOptions = (argv: readonly string[], extra: string, rc: string): XeOptions => {
  const own = new Map<string, string>()
  const fromFile = takeOwn(rcLines(rc), own)
  const fromEnvironment = takeOwn(splitExtra(extra), own)
  const fromArgv = takeOwn(argv, own)
  const port = own.get('port')
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65_535)) {
    throw new UsageError(`Port number must be an integer (0-65535), not "${port}"`)
  }
  const server = own.get('server') ?? '127.0.0.1'
  return {
    server,
    port: port === undefined ? undefined : Number(port),
    // As xe does: what stays on this machine is not encrypted.
    useTls: !flagOf(own, 'nossl') && server !== '127.0.0.1',
    authorityFile: own.get('cacert'),
    username: own.get('username') ?? 'root',
    password: own.get('password'),
    passwordFile: own.get('passwordfile'),
    debug: flagOf(own, 'debug'),
    args: [...fromArgv, ...fromEnvironment, ...fromFile],
  }
}

const flagOf = (own: ReadonlyMap<string, string>, name: string): boolean => {
  const value = own.get(name) ?? 'false'
  if (value === 'true' || value === 'false') return value === 'true'
  throw new UsageError(`${name} must be true or false, not "${value}"`)
}

/** Puts what is xe's own into `own`; the rest is returned. */
const takeOwn = (args: readonly string[], own: Map<string, string>): string[] => {
  const rest: string[] = []
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index]!
    const [name = ''] = arg.split('=', 1)
    const valued = withValue[arg]
    const flag = flags[arg]
    if (valued !== undefined) {
      index += 1
      const value = args[index]
      if (value === undefined) throw new UsageError(`${arg} must be followed by a value`)
      own.set(valued, value)
    } else if (flag !== undefined) own.set(flag, 'true')
    else if (arg.includes('=') && ownNames.has(name)) own.set(name, arg.slice(name.length + 1))
    else rest.push(arg)
  }
  return rest
}

const rcLines = (rc: string): string[] =>
  rc
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.includes('=') && !line.startsWith('#'))

const splitExtra = (extra: string): string[] =>
  (extra.match(/(?:\\.|[^,\\])+/gs) ?? []).map((part) => part.replaceAll(/\\(.)/gs, '$1'))
