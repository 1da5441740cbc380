// Whoever is not known costs little: the real server beside thousands of connections and guesses
// from this machine, which is one address.

import { readdir } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { login } from '../support/json-rpc.ts'
import { rootPassword, startServer, type TestServer } from '../support/server.ts'
import { eventually, within } from '../support/wait.ts'

const openSocket = async ({ host, port }: TestServer): Promise<Socket> => {
  const socket = connect({ host, port })
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  await within(
    'a connection',
    new Promise<void>((resolve) => socket.once('connect', () => resolve())),
  )
  return socket
}

const isHealthy = async ({ url }: TestServer): Promise<boolean> => (await fetch(`${url}/health`)).ok

describe('1100 bodies that are fed slowly', () => {
  test('leave health and logins working, and end with 408', async () => {
    const server = await startServer()
    let open = 0
    let refused = 0
    const paths = ['/jsonrpc', '/', '/cli']
    for (let count = 0; count < 1100; count += 1) {
      const socket = await openSocket(server)
      open += 1
      socket.on('data', (bytes) => (refused += bytes.includes('HTTP/1.1 408 ') ? 1 : 0))
      socket.once('close', () => (open -= 1))
      const path = paths[count % paths.length]
      socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx`)
    }
    expect(await isHealthy(server)).toBe(true)
    const rpc = await login(server)
    expect(await rpc('pool.get_all')).toHaveLength(1)
    await eventually('256 of them to be left, whatever else the process has open', async () =>
      (await readdir(`/proc/${server.pid}/fd`)).length < 400 ? true : undefined,
    )
    expect(server.output()).toContain('closed connections without a login')
    await eventually('the last to end', async () => (open === 0 ? true : undefined), 90_000)
    expect(refused).toBeGreaterThan(200)
    expect(await rpc('pool.get_all')).toHaveLength(1)
  })
})

describe('24 connections that guess the password of root', () => {
  const guessers = 24

  const body = (user: string, password: string): string =>
    JSON.stringify({
      id: 0,
      jsonrpc: '2.0',
      method: 'session.login_with_password',
      params: [user, password],
    })

  /** Guesses again and again on connections of their own. */
  const startGuessing = async (server: TestServer) => {
    let answered = 0
    let refused = 0
    for (let count = 0; count < guessers; count += 1) {
      const socket = await openSocket(server)
      const guess = (): void => {
        const text = body('root', `guess ${count} ${answered}`)
        socket.write(
          `POST /jsonrpc HTTP/1.1\r\nhost: x\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
        )
      }
      socket.on('data', (bytes) => {
        if (bytes.includes('TOO_BUSY')) refused += 1
        else if (bytes.includes('SESSION_AUTHENTICATION_FAILED')) answered += 1
        else return
        guess()
      })
      guess()
    }
    await eventually('the first guess to fail', async () => (answered > 0 ? true : undefined))
    return { answered: () => answered, refused: () => refused }
  }

  const uploadStatus = async (server: TestServer, user: string, password: string) => {
    const response = await fetch(`${server.url}/export_raw_vdi?vdi=none`, {
      headers: { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` },
    })
    await response.text()
    return response.status
  }

  test('keep nobody out: not root, not others, not who was here before', async () => {
    const server = await startServer()
    const rpc = await login(server)
    await rpc('user.create', { short_name: 'backup', password: 'pw', role: 'pool-admin' })
    const guesses = await startGuessing(server)
    const during = async (work: () => Promise<unknown>): Promise<number> => {
      const before = guesses.answered()
      await within('whoever may to be let in', work(), 120_000)
      return guesses.answered() - before
    }
    // A session and a remembered password wait for no guess, but for what runs on the same
    // processors.
    expect(await during(() => rpc('pool.get_all'))).toBeLessThan(guessers / 2)
    expect(await during(() => login(server))).toBeLessThan(guessers / 2)
    const known = await during(async () => {
      expect(await uploadStatus(server, 'root', rootPassword)).toBe(404)
    })
    expect(known).toBeLessThan(guessers / 2)
    // Another user has the next turn.
    const other = await during(async () => {
      expect(await uploadStatus(server, 'backup', 'pw')).toBe(404)
    })
    expect(other).toBeLessThan(guessers / 2)
    // Guesses at the same user from the same address come first where they came first, once.
    await rpc('session.change_password', rootPassword, 'another')
    const root = await during(async () => {
      expect(await uploadStatus(server, 'root', 'another')).toBe(404)
    })
    expect(root).toBeLessThan(2 * guessers)
    expect(guesses.refused()).toBe(0)
    const lines = server.output().split('\n')
    const failed = lines.filter((line) => line.includes('"a login failed"'))
    expect(failed.length).toBeGreaterThanOrEqual(guesses.answered())
    expect(JSON.parse(failed[0]!)).toMatchObject({
      login: { user: 'root', address: '127.0.0.1', via: 'JSON-RPC' },
    })
    expect(failed.join()).not.toContain('guess')
  })
})
