// A TCP proxy between two servers, which stays where it is when the one behind it is started again:
// for tests that cut connections, count bytes, and act at a moment that they can see passing by.

import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

export interface TcpProxy {
  readonly url: string
  /** The port behind it from now on. */
  setTarget(port: number): void
  /** Breaks all connections that are open. */
  cut(): void
  /** Breaks all connections as soon as so many further bytes have gone to the server. */
  cutAfter(bytes: number): void
  /** Bytes that have gone to the server. */
  readonly sent: () => number
  /**
   * Calls `act` once, and nothing more passes until it has ended.
   * @param text of a request that is about to pass
   * @param at before the request passes, or before the first byte after it comes back
   */
  on(text: string, at: 'request' | 'answer', act: () => Promise<void>): void
}

interface Trigger {
  readonly text: string
  readonly at: 'request' | 'answer'
  readonly act: () => Promise<void>
}

/** Ends with the test. */
export const startTcpProxy = async (port: number): Promise<TcpProxy> => {
  let target = port
  let sent = 0
  let cutAt = Infinity
  let trigger: Trigger | undefined
  const sockets = new Set<Socket>()
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  const fire = async (): Promise<void> => {
    const fired = trigger
    trigger = undefined
    await fired?.act()
  }

  const pass = (client: Socket): void => {
    const server = connect(target, '127.0.0.1')
    let isAnswerAwaited = false
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        sockets.delete(socket)
        client.destroy()
        server.destroy()
      })
    }
    const forward = async (bytes: Buffer): Promise<void> => {
      const isMeant = trigger !== undefined && bytes.includes(trigger.text)
      if (isMeant && trigger?.at === 'request') await fire()
      if (isMeant) isAnswerAwaited = true
      sent += bytes.length
      if (sent >= cutAt) {
        cutAt = Infinity
        cut()
        return
      }
      if (!server.write(bytes)) await once(server, 'drain').catch(() => {})
    }
    const back = async (bytes: Buffer): Promise<void> => {
      if (isAnswerAwaited && trigger?.at === 'answer') await fire()
      if (!client.write(bytes)) await once(client, 'drain').catch(() => {})
    }
    pump(client, forward)
    pump(server, back)
  }

  const listener = createServer(pass).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  onTestFinished(() => {
    cut()
    listener.close()
  })
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    setTarget: (next) => void (target = next),
    cut,
    cutAfter: (bytes) => void (cutAt = sent + bytes),
    sent: () => sent,
    on: (text, at, act) => void (trigger = { text, at, act }),
  }
}

/** One piece after the other, as fast as they are taken. */
const pump = (from: Socket, take: (bytes: Buffer) => Promise<void>): void => {
  from.on('data', (bytes: Buffer) => {
    from.pause()
    void take(bytes).then(() => from.resume())
  })
}
