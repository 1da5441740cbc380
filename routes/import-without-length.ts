// PUT /import_raw_vdi with neither Content-Length nor chunks, on a bare socket: node:http would take its
// body for the next request. The client waits for the 200 before it sends; the end of the connection ends
// the body; the task tells the outcome.

import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { toAppError } from '../src/errors.ts'
import type { RawRoute } from '../src/net/front.ts'
import type { RequestHead } from '../src/net/request-head.ts'
import type { RouteContext } from './environment.ts'
import { errorReply, logRefusal } from './error-response.ts'
import { hasTask, importPath, importReply, runImport } from './import-request.ts'
import { drain, linger, readBody } from './upload.ts'

/** A route for the socket front. */
export const createImportWithoutLength = (context: RouteContext): RawRoute => ({
  method: 'PUT',
  path: importPath,
  takes: ({ headers }) =>
    headers['content-length'] === undefined && headers['transfer-encoding'] === undefined,
  handle: (head, socket) => handleImport(context, head, socket),
})

const handleImport = async (
  context: RouteContext,
  head: RequestHead,
  socket: Socket,
): Promise<void> => {
  let accepted = false
  const accept = (): AsyncIterable<Uint8Array> => {
    accepted = true
    socket.write(headOf(200, { 'content-type': 'text/plain; charset=utf-8' }))
    return readBody(socket)
  }
  try {
    const uuid = await runImport(context, head, () => ({ accept, endsWith: 'close' }))
    socket.end(importReply(uuid).body)
  } catch (error) {
    const reason = toAppError(error)
    const reply = errorReply(reason, head.headers.accept, 400)
    logRefusal(context.transfer.log, reply, reason, 'an import was refused')
    const { status, headers, body } = reply
    if (!accepted) {
      const length = String(Buffer.byteLength(body))
      socket.end(`${headOf(status, { ...headers, 'content-length': length })}${body}`)
    } else if (hasTask(head) && reason.code !== 'TASK_CANCELLED') {
      await drain(socket)
      socket.end(body)
    } else {
      socket.destroy()
    }
  }
  await linger(socket)
}

const headOf = (status: number, headers: Readonly<Record<string, string>>): string => {
  const lines = Object.entries({ ...headers, connection: 'close' })
  const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${text}\r\n`
}
