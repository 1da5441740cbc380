import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readInvocation } from '../../src/config.ts'
import { firstCellsUnder } from '../support/markdown.ts'

const read = (args: string[], environment: Record<string, string> = {}) =>
  readInvocation(args, environment)

const configOf = (args: string[], environment: Record<string, string> = {}) => {
  const invocation = read(args, environment)
  if (invocation.kind !== 'serve') throw new Error(JSON.stringify(invocation))
  return invocation.config
}

describe('config', () => {
  test('without anything there are defaults', () => {
    const config = configOf([])
    expect(config).toMatchObject({
      listen: { host: '127.0.0.1', port: 8080 },
      data: resolve('data'),
      logLevel: 'info',
      rootPassword: undefined,
    })
    expect(config.maxTransfers).toBeGreaterThanOrEqual(8)
    expect(config).toMatchObject({ maxChainDepth: 8, coalesceRate: 64 })
  })

  test('the command line goes before the environment', () => {
    const environment = {
      DISKPORT_LISTEN: '0.0.0.0:1',
      DISKPORT_DATA: '/env',
      DISKPORT_LOG_LEVEL: 'warn',
      DISKPORT_MAX_TRANSFERS: '3',
      DISKPORT_MAX_CHAIN_DEPTH: '12',
      DISKPORT_COALESCE_RATE: '10',
      DISKPORT_ROOT_PASSWORD: 'pw',
    }
    expect(
      configOf(['--data', '/arg', '--max-transfers=5', '--coalesce-rate=0'], environment),
    ).toEqual({
      listen: { host: '0.0.0.0', port: 1 },
      data: '/arg',
      logLevel: 'warn',
      maxTransfers: 5,
      maxOpenTransfers: 1000,
      stallTimeout: 900,
      maxChainDepth: 12,
      coalesceRate: 0,
      tls: undefined,
      rootPassword: 'pw',
      srRoots: [],
      advertise: undefined,
      migrateCa: undefined,
      moveExpiry: 60,
    })
  })

  test('folders for storage repositories: repeated, or parted by colons', () => {
    const environment = { DISKPORT_SR_ROOT: '/srv/a:/srv/b/../c' }
    expect(configOf([], environment).srRoots).toEqual(['/srv/a', '/srv/c'])
    expect(configOf(['--sr-root', '/x', '--sr-root=/y'], environment).srRoots).toEqual(['/x', '/y'])
    for (const wrong of ['images', '/srv/a:', '/srv/a:b']) {
      expect(read(['--sr-root', wrong])).toEqual({
        kind: 'wrong',
        problems: [`--sr-root is "${wrong}": must be absolute paths`],
      })
    }
  })

  test('certificate and key come together', () => {
    expect(configOf(['--tls-cert', '/c', '--tls-key', '/k']).tls).toEqual({ cert: '/c', key: '/k' })
    expect(read(['--tls-cert', '/c'])).toEqual({
      kind: 'wrong',
      problems: ['--tls-cert and --tls-key must be given together'],
    })
  })

  test('a certificate of its own making, not beside another', () => {
    expect(configOf(['--tls-self-signed']).tls).toBe('self-signed')
    expect(configOf([], { DISKPORT_TLS_SELF_SIGNED: 'true' }).tls).toBe('self-signed')
    expect(configOf([], { DISKPORT_TLS_SELF_SIGNED: 'false' }).tls).toBeUndefined()
    expect(read(['--tls-self-signed', '--tls-key', '/k'], { DISKPORT_LISTEN: 'x' })).toEqual({
      kind: 'wrong',
      problems: [
        'DISKPORT_LISTEN is "x": must be HOST:PORT with a port from 0 to 65535',
        '--tls-cert and --tls-key must be given together',
        '--tls-self-signed makes its own certificate: not with --tls-cert and --tls-key',
      ],
    })
    expect(read([], { DISKPORT_TLS_SELF_SIGNED: 'yes' })).toEqual({
      kind: 'wrong',
      problems: ['DISKPORT_TLS_SELF_SIGNED is "yes": must be true or false'],
    })
  })

  test.each(['127.0.0.1', '127.1.2.3', '[::1]', 'localhost'])('plain HTTP on %s', (host) => {
    const { listenPlain } = configOf(['--tls-self-signed', '--listen-plain', `${host}:80`])
    expect(listenPlain).toEqual({ host: host.replaceAll(/[[\]]/g, ''), port: 80 })
  })

  test.each(['0.0.0.0:80', ':80', '10.0.0.1:80', 'example.org:80', '[::]:80', '128.0.0.1:1'])(
    'plain HTTP on %s is refused',
    (address) => {
      expect(read(['--tls-self-signed', '--listen-plain', address])).toEqual({
        kind: 'wrong',
        problems: [
          expect.stringMatching(
            /^--listen-plain is ".*": must be localhost, ::1 or an address of /,
          ),
        ],
      })
    },
  )

  test.each([
    [[], undefined],
    [['--spool-limit', '100GiB'], 100 * 2 ** 30],
    [['--spool-limit', '4096'], 4096],
  ])('%j', (args, limit) => {
    expect(configOf(args).spoolLimit).toBe(limit)
  })

  test.each(['0', 'much', '-1', '1.5GiB'])('--spool-limit %s is refused', (text) => {
    expect(read(['--spool-limit=' + text])).toEqual({
      kind: 'wrong',
      problems: [`--spool-limit is "${text}": must be a size above 0, such as 100GiB`],
    })
  })

  test('plain HTTP beside plain HTTP is refused', () => {
    expect(read(['--listen-plain', '8081'])).toEqual({
      kind: 'wrong',
      problems: ['--listen-plain goes beside TLS; without it --listen is plain HTTP already'],
    })
  })

  test.each([
    ['[::1]:9000', '::1', 9000],
    [':9000', '::', 9000],
    ['9000', '127.0.0.1', 9000],
    ['localhost:0', 'localhost', 0],
  ])('--listen %s', (text, host, port) => {
    expect(configOf(['--listen', text]).listen).toEqual({ host, port })
  })

  test('all that is wrong is said at once, each with its name', () => {
    const invocation = read(['--listen', 'nowhere', '--max-transfers', '0'], {
      DISKPORT_LOG_LEVEL: 'loud',
      DISKPORT_ROOT_PASSWORD: '',
    })
    expect(invocation).toEqual({
      kind: 'wrong',
      problems: [
        '--listen is "nowhere": must be HOST:PORT with a port from 0 to 65535',
        'DISKPORT_LOG_LEVEL is "loud": must be one of trace, debug, info, warn, error, fatal, silent',
        '--max-transfers is "0": must be a whole number from 1 to 1000',
        'DISKPORT_ROOT_PASSWORD must not be empty',
      ],
    })
  })

  test.each([
    ['--listen', '1.2.3.4:70000'],
    ['--listen', 'a:b:1'],
    ['--data', ''],
    ['--max-transfers', '1e3'],
    ['--max-chain-depth', '0'],
    ['--max-chain-depth', '65'],
    ['--coalesce-rate', '-1'],
  ])('%s %s is refused', (name, value) => {
    expect(read([name, value])).toMatchObject({
      kind: 'wrong',
      problems: [expect.stringContaining(name)],
    })
  })

  test('an unknown option is named', () => {
    expect(read(['--lisen', 'x'])).toMatchObject({
      kind: 'wrong',
      problems: [expect.stringContaining('--lisen')],
    })
  })

  test('--show-config shows the settings but never the password', () => {
    const shown = read(['--show-config'], { DISKPORT_ROOT_PASSWORD: 'hunter2' })
    expect(shown).toMatchObject({
      kind: 'show',
      text: expect.stringContaining('listen = 127.0.0.1:8080'),
    })
    expect(JSON.stringify(shown)).not.toContain('hunter2')
  })

  test('the documentation names every option of --help, and no other', () => {
    const help = read(['--help'])
    const options = new Set(JSON.stringify(help).match(/(?<=\\n  )--[a-z-]+/g))
    const documented = (file: string, heading: string) =>
      firstCellsUnder(file, heading).map((cell) => /--[a-z-]+/.exec(cell)?.[0])
    options.delete('--help')
    const operating = documented('docs/operating.md', '## Options').filter((name) => name)
    expect(new Set(operating)).toEqual(options)
    const mostUsed = documented('README.md', '## The most used options')
    expect(mostUsed).toHaveLength(10)
    expect(mostUsed.filter((name) => !options.has(name!))).toEqual([])
  })
})
