// Clients that do not come to the point, where node:http waits for them: the deadlines of
// handshakes and heads.

import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { readCertificate } from '../../../src/net/certificate.ts'
import { createHttpServer, headersTimeout } from '../../../src/net/http-server.ts'
import { ensureSelfSigned } from '../../../src/net/self-signed.ts'
import { connectRaw } from '../../support/raw-client.ts'
import { createTestFolder } from '../../support/tools.ts'

const start = async ({ secure = false, headTimeout = 100 }) => {
  const { files } = await ensureSelfSigned(await createTestFolder(), ['localhost'])
  const tls = secure ? (await readCertificate(files)).options : undefined
  const server = createHttpServer((_, outgoing) => void outgoing.end('answer'), tls, headTimeout)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return connectRaw((server.address() as AddressInfo).port)
}

test('who is not known has 10 s for a handshake or a head', () => {
  expect(headersTimeout).toBe(10_000)
})

test.each(['', '\u0016\u0003\u0001'])(
  'a handshake of TLS that stops at %j ends with the connection',
  async (bytes) => {
    const client = await start({ secure: true })
    client.send(Buffer.from(bytes, 'latin1'))
    expect(await client.closed).toBe('')
  },
)

test.each(['GET', 'GET / HTTP/1.1\r\nhost: x\r\n'])(
  'a head that stops at %j is answered with 408',
  async (bytes) => {
    const client = await start({})
    client.send(bytes)
    expect(await client.closed).toMatch(/^HTTP\/1\.1 408 /)
  },
)

test('the head of a later request has no more time', async () => {
  const client = await start({})
  client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  await client.until(/answer/)
  client.send('GET / HTTP/1.1\r\nhost: x\r\n')
  expect(await client.closed).toMatch(/answer.*HTTP\/1\.1 408 /s)
})
