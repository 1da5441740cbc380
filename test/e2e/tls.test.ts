// The real server over TLS, with certificates that openssl makes and its own: curl, our xe, bare
// sockets, and a renewal.

import { execFile } from 'node:child_process'
import { copyFile } from 'node:fs/promises'
import { connect as connectPlain } from 'node:net'
import { join, resolve } from 'node:path'
import { connect } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { rootPassword, startServer } from '../support/server.ts'
import { createRawSource, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'
import { eventually, within } from '../support/wait.ts'

const program = resolve(import.meta.dirname, '../../src/cli/xe.ts')

/** A self-signed certificate for localhost. */
const createCertificate = async (folder: string, name: string, kind: readonly string[]) => {
  const cert = join(folder, `${name}.pem`)
  const key = join(folder, `${name}.key`)
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost']
  const files = ['-keyout', key, '-out', cert]
  await run('openssl', ['req', '-x509', '-nodes', '-days', '2', ...kind, ...subject, ...files])
  return { cert, key }
}

const rsa = ['-newkey', 'rsa:2048']

const startTls = async () => {
  const folder = await createTestFolder()
  const first = await createCertificate(folder, 'first', rsa)
  const server = await startServer({ args: ['--tls-cert', first.cert, '--tls-key', first.key] })
  return { folder, first, server }
}

/** A handshake as xe makes it; the name in the certificate. */
const shakeHands = (port: number, options = {}): Promise<string> =>
  within(
    'a handshake',
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
      socket.once('error', reject)
      socket.once('secureConnect', () => {
        resolve(String(socket.getPeerCertificate().subject.CN))
        socket.destroy()
      })
    }),
  )

const fingerprintAt = (port: number): Promise<string> =>
  within(
    'a handshake',
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
      socket.once('error', reject)
      socket.once('secureConnect', () => {
        resolve(socket.getPeerCertificate().fingerprint256)
        socket.destroy()
      })
    }),
  )

describe.skipIf(!hasTool('openssl') || !hasTool('qemu-img'))('TLS', () => {
  test('curl and xe bring an image in and out; plain HTTP gets nowhere', async () => {
    const { folder, first, server } = await startTls()
    expect(server.url).toMatch(/^https:/)
    const source = await createRawSource(folder, 'source.raw', { size: 25 << 20 })
    const auth = ['-sSf', '--cacert', first.cert, '-u', `root:${rootPassword}`]
    const url = `https://localhost:${server.port}`
    const to = `${url}/import_raw_vdi?sr_uuid=default`
    const { stdout } = await run('curl', [...auth, '-T', source, to])
    const uuid = stdout.trim()
    const place = ['-s', 'localhost', '-p', String(server.port), '--cacert', first.cert]
    const user = ['-u', 'root', '-pw', rootPassword]
    const xe = (...args: string[]) => run(process.execPath, [program, ...place, ...user, ...args])
    const out = join(folder, 'out.qcow2')
    await xe('vdi-export', `uuid=${uuid}`, `filename=${out}`, 'format=qcow2')
    await expectSameGuest([out, 'qcow2'], [source, 'raw'])
    const pipe = `cat '${source}' | '${process.execPath}' '${program}' ${[...place, ...user].join(' ')}`
    await run('bash', ['-c', `${pipe} vdi-import uuid=${uuid} filename=-`])
    await expect(run('curl', ['-sS', `http://localhost:${server.port}/health`])).rejects.toThrow(
      'ended with',
    )
  })

  test('a self-signed one: curl and xe trust its file, people its fingerprint, and it stays', async () => {
    const server = await startServer({ args: ['--tls-self-signed'] })
    const line = /^its certificate is (.*), SHA-256 fingerprint ([0-9A-F:]{95})\n$/m
    const [, file, fingerprint] = line.exec(server.standardOutput()) ?? []
    expect(file).toBe(join(server.dataFolder, 'tls/self-signed.pem'))
    expect(await fingerprintAt(server.port)).toBe(fingerprint)
    expect(server.output()).toContain(`"fingerprint":"${fingerprint}"`)

    const folder = await createTestFolder()
    const source = await createRawSource(folder, 'source.raw', { size: 25 << 20 })
    const to = `https://localhost:${server.port}/import_raw_vdi?sr_uuid=default`
    const auth = ['-sSf', '--cacert', file!, '-u', `root:${rootPassword}`]
    const uuid = (await run('curl', [...auth, '-T', source, to])).stdout.trim()
    await run('curl', [...auth, `https://127.0.0.1:${server.port}/health`])
    const place = ['-s', 'localhost', '-p', String(server.port), '--cacert', file!]
    const out = join(folder, 'out.vhd')
    const command = ['vdi-export', `uuid=${uuid}`, `filename=${out}`, 'format=vhd']
    const user = ['-u', 'root', '-pw', rootPassword]
    await run(process.execPath, [program, ...place, ...user, ...command])
    await expectSameGuest([out, 'vhd'], [source, 'raw'])

    await server.stop()
    const second = await startServer({ dataFolder: server.dataFolder, args: ['--tls-self-signed'] })
    expect(await fingerprintAt(second.port)).toBe(fingerprint)
  })

  test('plain HTTP on loopback beside it: the same server, and both end', async () => {
    const plain = ['--listen-plain', '127.0.0.1:0']
    const server = await startServer({ args: ['--tls-self-signed', ...plain] })
    const urls = () =>
      [...server.standardOutput().matchAll(/^diskport listens on (.*)$/gm)].map(([, url]) => url!)
    const [secure, open] = await eventually('both addresses', async () =>
      urls().length === 2 ? urls() : undefined,
    )
    expect(secure).toBe(server.url)
    expect(open).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const source = await createRawSource(await createTestFolder())
    const auth = ['-sSf', '-k', '-u', `root:${rootPassword}`]
    const to = `${open}/import_raw_vdi?sr_uuid=default`
    const uuid = (await run('curl', [...auth, '-T', source, to])).stdout.trim()
    const place = ['-s', '127.0.0.1', '-p', new URL(open!).port, '-u', 'root', '-pw', rootPassword]
    const list = await run(process.execPath, [program, ...place, 'vdi-list', '--minimal'])
    expect(list.stdout.trim()).toBe(uuid)
    const query = `vdi=${uuid}&format=raw`
    await run('bash', [
      '-o',
      'pipefail',
      '-c',
      `curl ${auth.join(' ')} '${secure}/export_raw_vdi?${query}' | cmp - '${source}'`,
    ])
    // One that says nothing must not keep the server.
    const idle = connectPlain({ port: Number(new URL(open!).port), host: '127.0.0.1' })
    idle.on('error', () => {})
    await within('a connection', new Promise((resolve) => idle.once('connect', resolve)))
    expect(await server.stop()).toBe(0)
    await expect(run('curl', ['-sS', `${open}/health`])).rejects.toThrow('ended with')
  })

  test('a plain address that is taken ends the start; nothing is left listening', async () => {
    const server = await startServer()
    const folder = await createTestFolder()
    const main = resolve(import.meta.dirname, '../../src/main.ts')
    const listen = ['--listen', '127.0.0.1:0', '--listen-plain', `127.0.0.1:${server.port}`]
    const args = [main, '--data', folder, '--tls-self-signed', ...listen]
    const ended = run(process.execPath, args)
    await expect(ended).rejects.toThrow(new RegExp(`ended with 69[^]*EADDRINUSE.*${server.port}`))
  })

  test('1.3, and 1.2 with what xe has; nothing older', async () => {
    const { server } = await startTls()
    expect(await shakeHands(server.port, { minVersion: 'TLSv1.3' })).toBe('first')
    const xe = {
      maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256',
      ecdhCurve: 'secp384r1',
    }
    expect(await shakeHands(server.port, xe)).toBe('first')
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
    await expect(shakeHands(server.port, old)).rejects.toThrow(/alert|version/)
  })

  test('SIGHUP: the renewed certificate for new connections; an unusable one changes nothing', async () => {
    const { folder, first, server } = await startTls()
    const second = await createCertificate(folder, 'second', rsa)
    await copyFile(second.cert, first.cert)
    process.kill(server.pid, 'SIGHUP')
    await eventually('the refusal of a certificate without its key', async () =>
      server.output().includes('the old one stays') ? true : undefined,
    )
    expect(await shakeHands(server.port)).toBe('first')
    await copyFile(second.key, first.key)
    process.kill(server.pid, 'SIGHUP')
    await eventually('the renewed certificate', async () =>
      (await shakeHands(server.port)) === 'second' ? true : undefined,
    )
  })

  test('what cannot be used ends the start with its name; a key that xe cannot use is told', async () => {
    const folder = await createTestFolder()
    const first = await createCertificate(folder, 'first', rsa)
    const second = await createCertificate(folder, 'second', rsa)
    const main = resolve(import.meta.dirname, '../../src/main.ts')
    const start = (cert: string, key: string): Promise<string> =>
      new Promise((resolve) => {
        const files = ['--data', join(folder, 'data'), '--tls-cert', cert, '--tls-key', key]
        const args = [main, '--listen', '127.0.0.1:0', ...files]
        execFile(process.execPath, args, { timeout: 30_000 }, (_error, _out, err) => resolve(err))
      })
    expect(await start(first.cert, second.key)).toContain(`Cannot use the tls-cert ${first.cert}: `)
    expect(await start(first.cert, '/nowhere')).toContain('Cannot use the tls-key /nowhere: ENOENT')
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
    const { cert, key } = await createCertificate(folder, 'elliptic', kind)
    const server = await startServer({ args: ['--tls-cert', cert, '--tls-key', key] })
    expect(server.output()).toContain('the key is not RSA: xe will not connect')
  })
})
