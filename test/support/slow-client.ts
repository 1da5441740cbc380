// A client that sends and reads step by step, so that a test can hold a transfer open, cut it, or
// look at the server in the middle of it.

import { once } from 'node:events'
import {
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
} from 'node:http'
import { rootPassword } from './server.ts'
import { within } from './wait.ts'

const authorization = `Basic ${Buffer.from(`root:${rootPassword}`).toString('base64')}`

export interface SlowUpload {
  /** Returns when the bytes have gone to the system. */
  write(bytes: Uint8Array): Promise<void>
  /** Ends the body and waits for the answer. */
  end(): Promise<{ status: number; body: string }>
  /** Cuts the connection. */
  cut(): void
  /** Settles when the server has cut the connection or answered without being asked. */
  readonly broken: Promise<void>
}

/**
 * Starts a PUT and waits until the server takes it, with 100 Continue. Chunked, unless told the
 * length. An answer in place of 100 Continue is an error that shows its status.
 */
export const openUpload = async (url: string, length?: number): Promise<SlowUpload> => {
  const headers: Record<string, string> = { authorization, expect: '100-continue' }
  if (length !== undefined) headers['content-length'] = String(length)
  const outgoing = request(url, { method: 'PUT', headers })
  outgoing.on('error', () => {})
  outgoing.flushHeaders()
  const answer = once(outgoing, 'response').then(async ([response]) =>
    readAnswer(response as IncomingMessage),
  )
  answer.catch(() => {})
  const refused = answer.then(({ status, body }) => {
    throw new Error(`The upload was refused with ${status}: ${body}`)
  })
  await within('100 Continue', Promise.race([once(outgoing, 'continue'), refused]))
  refused.catch(() => {})
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        outgoing.write(bytes, (error) => (error ? reject(error) : resolve()))
      }),
    end() {
      outgoing.end()
      return within('the answer to an upload', answer)
    },
    cut: () => void outgoing.destroy(),
    broken: Promise.race([closed(outgoing), answer.then(() => {})]).catch(() => {}),
  }
}

const closed = (outgoing: ClientRequest): Promise<void> =>
  new Promise((resolve) => outgoing.once('close', resolve))

const readAnswer = async (response: IncomingMessage): Promise<{ status: number; body: string }> => {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return { status: response.statusCode!, body: Buffer.concat(chunks).toString('utf8') }
}

export interface SlowDownload {
  readonly status: number
  readonly length: number
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders
  /** Reads at least `count` bytes, and no more than what is there already; less only at the end. */
  read(count: number): Promise<Buffer>
  /** All that has not been read yet; throws when the connection breaks. */
  rest(): Promise<Buffer>
  /** Cuts the connection. */
  cut(): void
}

/** Starts a GET and returns with its head; the body waits. */
export const openDownload = async (
  url: string,
  headers: Record<string, string> = {},
): Promise<SlowDownload> => {
  const outgoing = request(url, { headers: { authorization, ...headers } })
  outgoing.on('error', () => {})
  outgoing.end()
  const [response] = (await within('the head of a download', once(outgoing, 'response'))) as [
    IncomingMessage,
  ]
  const chunks = response.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>
  const read = async (count: number): Promise<Buffer> => {
    const parts: Buffer[] = []
    for (let length = 0; length < count;) {
      const next = await chunks.next()
      if (next.done === true) break
      parts.push(next.value)
      length += next.value.length
    }
    return Buffer.concat(parts)
  }
  return {
    status: response.statusCode!,
    length: Number(response.headers['content-length']),
    headers: response.headers,
    read: (count) => within(`${count} bytes of a download`, read(count)),
    rest: () => within('the rest of a download', read(Infinity), 60_000),
    cut: () => void outgoing.destroy(),
  }
}
