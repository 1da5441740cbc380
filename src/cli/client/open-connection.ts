// A connection to the server, with or without TLS: for the session, and for each transfer beside
// it.

import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { XeOptions } from './options.ts'

export interface Place {
  readonly host: string
  readonly port: number
  readonly useTls: boolean
  readonly authorityFile: string | undefined
}

export const placeOf = ({ server, port, useTls, authorityFile }: XeOptions): Place => ({
  host: server.replace(/^\[(.*)\]$/, '$1'),
  port: port ?? (useTls ? 443 : 80),
  useTls,
  authorityFile,
})

/** @throws an error of the operating system or of TLS */
export const openConnection = async (place: Place): Promise<Socket> => {
  const { host, port, useTls, authorityFile } = place
  const ca = useTls && authorityFile !== undefined ? await readFile(authorityFile) : undefined
  return new Promise((resolve, reject) => {
    const to = { host, port, allowHalfOpen: true }
    const socket = useTls
      ? connectTls({ ...to, rejectUnauthorized: ca !== undefined, ...(ca && { ca }) })
      : connect(to)
    socket.once('error', reject)
    socket.once(useTls ? 'secureConnect' : 'connect', () => {
      socket.off('error', reject)
      // From now on a broken connection shows where it is read or written.
      socket.on('error', () => {})
      resolve(socket)
    })
  })
}
