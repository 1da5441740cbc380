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

/** How much of what another server says is kept, in characters: of each text, and of texts. */
const keptLength = 2000
const keptParams = 20

/** What the other server answered, under its own code where we know it. */
export class RemoteError extends AppError {
  /** @param sentenceSaid the one that came with it */
  constructor(host: string, answered: string, all: readonly string[], sentenceSaid?: string) {
    const code = answered.slice(0, keptLength)
    const params = all.slice(0, keptParams).map((param) => param.slice(0, keptLength))
    const said = sentenceSaid?.slice(0, keptLength)
    const sentence = sentenceOf(code, params)
    const message = `${said ?? sentence ?? [code, ...params].join(' ')} (says the server ${host})`
    if (sentence === undefined) super('INTERNAL_ERROR', [message])
    else super(code as ErrorCode, params, { message })
  }
}
