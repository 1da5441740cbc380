// The settings: their names, what --help says of each, and their defaults.

import { cpus } from 'node:os'
import { logLevels } from './log.ts'

export interface Option {
  /**
   * Of the value; without one the option is a switch, whose value in the environment is true or
   * false.
   */
  readonly metavar?: string
  readonly help: string
  readonly fallback: string
  /** It may be given more than once; the values are joined by colons. */
  readonly repeats?: true
}

export const options = {
  listen: { metavar: 'HOST:PORT', help: 'where to listen', fallback: '127.0.0.1:8080' },
  data: { metavar: 'DIR', help: 'the folder for everything diskport keeps', fallback: './data' },
  'sr-root': {
    metavar: 'DIR',
    help: 'where a pool-operator may make storage repositories; may be repeated',
    fallback: '',
    repeats: true,
  },
  'log-level': { metavar: 'LEVEL', help: logLevels.join(', '), fallback: 'info' },
  'max-transfers': {
    metavar: 'N',
    help: 'transfers that may be busy at once; the others take turns',
    fallback: String(Math.max(8, cpus().length * 4)),
  },
  'max-open-transfers': {
    metavar: 'N',
    help: 'transfers that may be open at once; one more gets 503',
    fallback: '1000',
  },
  'spool-limit': {
    metavar: 'SIZE',
    help: 'what of one upload may wait on the storage, such as 100GiB',
    fallback: '',
  },
  'stall-timeout': {
    metavar: 'SECONDS',
    help: 'how long a client may take or send nothing',
    fallback: '900',
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
  'tls-self-signed': {
    help: 'speak TLS only, with a certificate of its own making, kept in DIR/tls',
    fallback: 'false',
  },
  'listen-plain': {
    metavar: 'HOST:PORT',
    help: 'beside TLS: plain HTTP too, for this machine only',
    fallback: '',
  },
  advertise: {
    metavar: 'URL',
    help: 'how other servers reach this one, for VMs that come here',
    fallback: '',
  },
  'migrate-ca': {
    metavar: 'FILE',
    help: 'PEM certificates that other servers are checked against',
    fallback: '',
  },
  'move-expiry': {
    metavar: 'MINUTES',
    help: 'when a VM that was on its way here is given up',
    fallback: '60',
  },
} as const satisfies Record<string, Option>

export type OptionName = keyof typeof options

export const environmentName = (name: string): string =>
  `DISKPORT_${name.toUpperCase().replaceAll('-', '_')}`

export const helpText = (): string => {
  const lines = Object.entries<Option>(options).map(([name, { metavar = '', help, fallback }]) => {
    const usage = `--${name} ${metavar}`.padEnd(27)
    return `  ${usage}${help} (${environmentName(name)}; default ${fallback || 'none'})`
  })
  return [
    'diskport: streams virtual disk images in and out over HTTP',
    '',
    'usage: diskport [options]                   runs the server',
    '       diskport user list|add|passwd|...     manages who may log in: diskport user --help',
    '',
    ...lines,
    `  ${'--show-config'.padEnd(27)}print the settings and exit`,
    `  ${'--help'.padEnd(27)}print this and exit`,
    '',
    'DISKPORT_ROOT_PASSWORD sets the password of the user root; without it the first start makes one and shows it once.',
  ].join('\n')
}
