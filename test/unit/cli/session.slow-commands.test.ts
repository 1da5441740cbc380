// Commands of xe that come slowly, or in odd pieces, before anybody knows who sends them.

import { expect, test } from 'vitest'
import { startCliServer } from '../../support/cli-client.ts'
import { connectRaw } from '../../support/raw-client.ts'

const head = (length: number): string => `POST /cli HTTP/1.0\r\ncontent-length: ${length}\r\n\r\n`

test.each([
  ['of which nothing comes', head(100)],
  ['of which a byte comes', `${head(100)}x`],
  ['whose preamble does not follow', `${head(4)}help`],
])('a command %s is closed with 408', async (_, bytes) => {
  const { port } = await startCliServer({}, { pace: { grace: 50, rate: 1e9 } })
  const client = await connectRaw(port)
  client.send(bytes)
  expect(await client.closed).toMatch(/HTTP\/1\.1 408 .*The command came too slowly\n$/s)
})

test('a command in single bytes is read whole', async () => {
  const { port } = await startCliServer()
  const client = await connectRaw(port)
  client.socket.setNoDelay(true)
  client.send(head(4))
  for (const byte of 'help') {
    client.send(byte)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const preamble = await client.until(/XenSource thin CLI protocol.{8}/s)
  client.send(Buffer.from(preamble, 'latin1'))
  expect(await client.until(/Usage/)).toContain('Usage')
})
