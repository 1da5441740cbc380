import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readInvocation } from '../../src/config.ts'

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
      maxChainDepth: 12,
      coalesceRate: 0,
      tls: undefined,
      rootPassword: 'pw',
    })
  })

  test('certificate and key come together', () => {
    expect(configOf(['--tls-cert', '/c', '--tls-key', '/k']).tls).toEqual({ cert: '/c', key: '/k' })
    expect(read(['--tls-cert', '/c'])).toEqual({
      kind: 'wrong',
      problems: ['--tls-cert and --tls-key must be given together'],
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

  test('--help names every option', () => {
    const shown = read(['--help'])
    for (const name of [
      '--listen',
      '--data',
      '--log-level',
      '--max-transfers',
      '--max-chain-depth',
      '--coalesce-rate',
      '--show-config',
    ]) {
      expect(shown).toMatchObject({ kind: 'show', text: expect.stringContaining(name) })
    }
  })
})
