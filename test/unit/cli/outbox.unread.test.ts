// Clients of xe that ask for much and read nothing: what the server holds for them, and for how
// long.

import { Duplex } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { createOutbox } from '../../../src/cli/outbox.ts'
import { encodeMessage } from '../../../src/cli/protocol.ts'
import { KiB, MiB } from '../../../src/units.ts'
import { createAnswerRoom } from '../../../src/xenapi/wire/answer-room.ts'
import { beginCommandCalls } from '../../../src/xenapi/rpc/command-calls.ts'
import type { Dispatcher } from '../../../src/xenapi/dispatch.ts'
import { ownOrigin } from '../../../src/xenapi/origin.ts'
import { startCliServer } from '../../support/cli-client.ts'
import { eventually, within } from '../../support/wait.ts'

const root = ['username=root', 'password=pw'] as const

describe('help, for which nobody needs a session', () => {
  test('a command that is asked for 900 times is shown once', async () => {
    const { open } = await startCliServer()
    const asked = Array.from({ length: 900 }, () => 'vdi-list=')
    const { out, code } = await (await open('help', ...asked)).shown()
    expect(code).toBe(0)
    expect(out.match(/command name/g)).toHaveLength(1)
  })

  test('100 commands are shown, 101 refused', async () => {
    const { open } = await startCliServer()
    const asked = Array.from({ length: 100 }, (_, index) => `c${index}=`)
    const shown = await (await open('help', ...asked, 'c0=')).shown()
    expect(shown.out.split('\n')).toHaveLength(101)
    expect(await (await open('help', ...asked, 'c100=')).shown()).toEqual({
      out: '',
      err: 'Error: You asked for 101 commands, the limit is 100: ask for fewer at once.\n',
      code: 1,
    })
  })
})

describe('output that nobody reads', () => {
  /** A socket whose other end takes a piece whenever it is told to. */
  const createSlowSocket = () => {
    const taken: Buffer[] = []
    let take: (() => void) | undefined
    const socket = new Duplex({
      read() {},
      write(bytes: Buffer, _encoding, done) {
        take = () => {
          taken.push(bytes)
          take = undefined
          done()
        }
      },
    })
    return { socket, taken, take: () => take?.() }
  }
  const messages = Array.from({ length: 300 }, (_, index) => ({
    kind: 'print' as const,
    text: `${index} `.repeat(index === 150 ? 100_000 : 500),
  }))

  test('the socket holds one piece of it, and gets all in order', async () => {
    const { socket, taken, take } = createSlowSocket()
    const outbox = createOutbox(socket)
    for (const message of messages) outbox.send(message)
    let isSent = false
    const sent = outbox.sent().then(() => (isSent = true))
    while (!isSent) {
      expect(socket.writableLength).toBeLessThanOrEqual(16 * KiB)
      take()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await sent
    expect(Buffer.concat(taken).equals(Buffer.concat(messages.map(encodeMessage)))).toBe(true)
  })

  test('a client that takes nothing is disconnected', async () => {
    const { socket } = createSlowSocket()
    const outbox = createOutbox(socket, { stallLimit: 20 })
    for (const message of messages) outbox.send(message)
    await within('the end', outbox.sent())
    expect(socket.destroyed).toBe(true)
  })

  test('a command whose client takes nothing ends', async () => {
    const record = { uuid: 'u', name_label: 'x'.repeat(16 * MiB) }
    const methods = { 'SM.get_all_records': () => ({ 'OpaqueRef:u': record }) }
    const { open, front, calls } = await startCliServer(methods, { stallLimit: 20 })
    await open('sm-list', 'params=name-label', ...root)
    await eventually('the logout', async () =>
      calls.some(([method]) => method === 'session.logout') ? true : undefined,
    )
    await eventually('the session to end', async () => (front.taken === 0 ? true : undefined))
    expect(front.taken).toBe(0)
  })
})

describe('large output and the room for large answers', () => {
  /**
   * A XenAPI whose list of storage managers has 32 MiB; the room takes no more while 8 MiB are
   * unread.
   */
  const start = async () => {
    const entries = Array.from({ length: 64 }, (_, index) => {
      const uuid = String(index)
      return [`OpaqueRef:${uuid}`, { uuid, name_label: 'x'.repeat(512 * KiB) }] as const
    })
    const records = Object.fromEntries(entries)
    const ended: string[] = []
    const call: Dispatcher['call'] = async ({ method }, _signal, _origin, work) => {
      if (method === 'session.login_with_password') return 'OpaqueRef:session'
      if (method === 'session.logout') ended.push(method)
      if (method !== 'SM.get_all_records') return ''
      work?.user('root')
      await work?.enter()
      return records
    }
    const room = createAnswerRoom({ places: 1, bytes: 8 * MiB, bytesOfUser: 8 * MiB, patience: 10 })
    const server = await startCliServer(
      {},
      { beginCalls: (_, gone) => beginCommandCalls({ call }, room, ownOrigin, gone) },
    )
    const list = (...more: string[]) =>
      server.open('sm-list', 'params=name-label', ...more, ...root)
    const unread = await list()
    await eventually('the logout', async () => (ended.length > 0 ? true : undefined))
    return { ...server, list, unread }
  }
  const refused = {
    code: 1,
    err: expect.stringMatching(
      /^There is no room for another large answer: 0 are being made/,
    ) as string,
  }

  test('while it is unread no other is begun; when it has been read, one is', async () => {
    const { list, unread, front } = await start()
    expect(await (await list()).shown()).toMatchObject(refused)
    expect((await unread.finish()).messages).toHaveLength(64)
    await eventually('its end', async () => (front.taken === 0 ? true : undefined))
    expect((await (await list()).finish()).code).toBe(0)
  })

  test('a client that leaves gives its room back', async () => {
    const { list, unread, front } = await start()
    expect(await (await list()).shown()).toMatchObject(refused)
    unread.socket.destroy()
    await eventually('its end', async () => (front.taken === 0 ? true : undefined))
    expect((await (await list()).finish()).code).toBe(0)
  })
})
