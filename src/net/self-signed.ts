// A certificate of our own making, for servers without an authority: made once, kept beside its key
// in a folder, and made again only when it would not do any more.

import type { KeyObject } from 'node:crypto'
import { createPrivateKey, generateKeyPair, randomBytes, sign, X509Certificate } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { CertificateFiles } from './certificate.ts'

const DAY = 24 * 3_600_000

/**
 * Clients keep the certificate to compare with, so it lasts; a clock may be a day behind. In
 * milliseconds.
 */
const lifetime = 3650 * DAY
const clockError = DAY

/** With less left at a start, a new one is made, in milliseconds. */
const minimumLeft = 30 * DAY

/** RSA, because xe speaks nothing else. */
const modulusLength = 3072

interface SelfSigned {
  readonly files: CertificateFiles
  /** Why there is a new certificate now; undefined: it is the one from before. */
  readonly madeBecause: string | undefined
}

/**
 * The certificate in `folder`, made where there is none that is valid for all of `names`.
 * @param names host names and addresses; the first is the subject
 * @throws an error of the operating system where the folder cannot be written
 */
export const ensureSelfSigned = async (
  folder: string,
  names: readonly string[],
  now: () => number = Date.now,
): Promise<SelfSigned> => {
  const files = { cert: join(folder, 'self-signed.pem'), key: join(folder, 'self-signed.key') }
  const madeBecause = await findFault(files, names, now())
  if (madeBecause !== undefined) await makeSelfSigned(folder, files, names, now())
  return { files, madeBecause }
}

/** @returns undefined where certificate and key may be used */
const findFault = async (
  { cert, key }: CertificateFiles,
  names: readonly string[],
  now: number,
): Promise<string | undefined> => {
  try {
    const certificate = new X509Certificate(await readFile(cert))
    if (!certificate.checkPrivateKey(createPrivateKey(await readFile(key)))) {
      return 'the key is not that of the certificate'
    }
    const { validToDate } = certificate
    if (validToDate.getTime() - now < minimumLeft) {
      return `it is valid only until ${validToDate.toISOString()}`
    }
    const missing = names.filter((name) => !isFor(certificate, name))
    return missing.length === 0 ? undefined : `it is not valid for ${missing.join(', ')}`
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? 'there was none'
      : `it cannot be read: ${(error as Error).message}`
  }
}

const isFor = (certificate: X509Certificate, name: string): boolean =>
  (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined

const makeSelfSigned = async (
  folder: string,
  files: CertificateFiles,
  names: readonly string[],
  now: number,
): Promise<void> => {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', { modulusLength })
  const certificate = await signCertificate(publicKey, privateKey, names, now)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  // Removed first: a file that is there would keep its mode.
  await rm(files.key, { force: true })
  await writeFile(files.key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  await writeFile(files.cert, certificate.toString(), { mode: 0o644 })
}

/**
 * RFC 5280, section 4. No authority (cA is false), so that whoever trusts it trusts this server
 * only; and no keyUsage: one that forbids to sign certificates would keep OpenSSL from taking the
 * certificate as its own issuer.
 */
const signCertificate = async (
  publicKey: KeyObject,
  privateKey: KeyObject,
  names: readonly string[],
  now: number,
): Promise<X509Certificate> => {
  // Loaded only where a certificate is made: most starts do without.
  const asn1 = await import('@peculiar/asn1-x509')
  const { AsnConvert, OctetString } = await import('@peculiar/asn1-schema')
  const extension = (extnID: string, critical: boolean, value: object) =>
    new asn1.Extension({
      extnID,
      critical,
      extnValue: new OctetString(AsnConvert.serialize(value)),
    })
  const commonName = new asn1.AttributeTypeAndValue({
    type: '2.5.4.3',
    // RFC 5280 allows it 64 characters; the names that count are in the extension.
    value: new asn1.AttributeValue({ utf8String: names[0]!.slice(0, 64) }),
  })
  const subject = new asn1.Name([new asn1.RelativeDistinguishedName([commonName])])
  const serialNumber = randomBytes(16)
  // Positive, and of a fixed length.
  serialNumber[0] = (serialNumber[0]! & 0x3f) | 0x40
  const sha256WithRsa = new asn1.AlgorithmIdentifier({
    algorithm: '1.2.840.113549.1.1.11',
    parameters: null,
  })
  const tbsCertificate = new asn1.TBSCertificate({
    version: asn1.Version.v3,
    serialNumber: Uint8Array.from(serialNumber).buffer,
    signature: sha256WithRsa,
    issuer: subject,
    subject,
    validity: new asn1.Validity({
      notBefore: new Date(now - clockError),
      notAfter: new Date(now + lifetime),
    }),
    subjectPublicKeyInfo: AsnConvert.parse(
      publicKey.export({ type: 'spki', format: 'der' }),
      asn1.SubjectPublicKeyInfo,
    ),
    extensions: new asn1.Extensions([
      extension(asn1.id_ce_basicConstraints, true, new asn1.BasicConstraints({ cA: false })),
      extension(asn1.id_ce_extKeyUsage, false, new asn1.ExtendedKeyUsage([asn1.id_kp_serverAuth])),
      extension(
        asn1.id_ce_subjectAltName,
        false,
        new asn1.SubjectAlternativeName(
          names.map(
            (name) =>
              new asn1.GeneralName(isIP(name) === 0 ? { dNSName: name } : { iPAddress: name }),
          ),
        ),
      ),
    ]),
  })
  const signature = sign('sha256', new Uint8Array(AsnConvert.serialize(tbsCertificate)), privateKey)
  const certificate = new asn1.Certificate({
    tbsCertificate,
    signatureAlgorithm: sha256WithRsa,
    signatureValue: Uint8Array.from(signature).buffer,
  })
  return new X509Certificate(new Uint8Array(AsnConvert.serialize(certificate)))
}
