// What goes wrong between two servers: the connection, or what the other one answers.

import type { ErrorCode } from '../errors.ts'
import { AppError, sentenceOf } from '../errors.ts'

/** The connection broke, or none came about: what was asked for may have happened or not. */
export class RemoteCutError extends Error {
  readonly host: string

  /** @param host with its port */
  constructor(host: string, found: string) {
    super(`The connection to the server ${host} broke: ${found}`)
    this.name = 'RemoteCutError'
    this.host = host
  }
}

/** What the other server answered, under its own code where we know it. */
export class RemoteError extends AppError {
  /** @param said the sentence that came with it */
  constructor(host: string, code: string, params: readonly string[], said?: string) {
    const sentence = sentenceOf(code, params)
    const message = `${said ?? sentence ?? [code, ...params].join(' ')} (says the server ${host})`
    if (sentence === undefined) super('INTERNAL_ERROR', [message])
    else super(code as ErrorCode, params, { message })
  }
}
