import { X509Certificate } from 'node:crypto'
import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readCertificate } from '../../../src/net/certificate.ts'
import { ensureSelfSigned } from '../../../src/net/self-signed.ts'
import { createTestFolder, hasTool, run } from '../../support/tools.ts'

const names = ['disks_1.example', 'localhost', '127.0.0.1', '::1', '2001:db8::7']
const now = Date.UTC(2026, 0, 15)
const DAY = 24 * 3_600_000

const make = async (folder: string, at = now, wanted: readonly string[] = names) => {
  const { files, madeBecause } = await ensureSelfSigned(folder, wanted, () => at)
  return { files, madeBecause, certificate: new X509Certificate(await readFile(files.cert)) }
}

describe('a self-signed certificate', () => {
  test('is RSA, valid for all names for ten years, no authority, and its key is nobody else’s', async () => {
    const folder = join(await createTestFolder(), 'tls')
    const { files, madeBecause, certificate } = await make(folder)
    expect(madeBecause).toBe('there was none')
    expect(await readCertificate(files)).toMatchObject({
      isRsa: true,
      fingerprint: certificate.fingerprint256,
    })
    expect(certificate.subject).toBe('CN=disks_1.example')
    expect(certificate.subjectAltName).toBe(
      'DNS:disks_1.example, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:2001:DB8:0:0:0:0:0:7',
    )
    expect(certificate.ca).toBe(false)
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(certificate.validFromDate.getTime()).toBe(now - DAY)
    expect(certificate.validToDate.getTime()).toBe(now + 3650 * DAY)
    expect((await stat(files.key)).mode & 0o777).toBe(0o600)
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
  })

  test('is kept while it will do', async () => {
    const folder = await createTestFolder()
    const first = await make(folder)
    const again = await make(folder, now + 3000 * DAY, names.slice(1))
    expect(again.madeBecause).toBeUndefined()
    expect(again.certificate.fingerprint256).toBe(first.certificate.fingerprint256)
  })

  test.each([
    ['near its end', now + 3621 * DAY, names, /^it is valid only until 2036-01-13T/],
    ['for another name', now, [...names, 'other'], /^it is not valid for other$/],
    ['for another address', now, [...names, '10.0.0.1'], /^it is not valid for 10\.0\.0\.1$/],
  ])('%s it is made again', async (_, at, wanted, reason) => {
    const folder = await createTestFolder()
    const first = await make(folder)
    await chmod(first.files.key, 0o644)
    const { madeBecause, certificate, files } = await make(folder, at, wanted)
    expect(madeBecause).toMatch(reason)
    expect(certificate.fingerprint256).not.toBe(first.certificate.fingerprint256)
    expect((await stat(files.key)).mode & 0o777).toBe(0o600)
    await readCertificate(files)
  })

  test('a damaged or foreign file is replaced', async () => {
    const folder = await createTestFolder()
    const { files } = await make(folder)
    await writeFile(files.cert, 'none')
    expect((await make(folder)).madeBecause).toMatch(/^it cannot be read: /)
    const other = await make(await createTestFolder())
    await writeFile(files.key, await readFile(other.files.key))
    expect((await make(folder)).madeBecause).toBe('the key is not that of the certificate')
    expect((await make(folder)).madeBecause).toBeUndefined()
  })

  test.skipIf(!hasTool('openssl'))('openssl takes it as its own authority', async () => {
    const { files } = await make(await createTestFolder(), Date.now())
    const args = ['-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'localhost']
    const { stdout } = await run('openssl', ['verify', ...args, '-CAfile', files.cert, files.cert])
    expect(stdout).toContain(': OK')
  })
})
