// Where a request comes from, for those who ask who is asking. src/net makes one of each socket,
// and is told here what its sender has shown.

import type { Asker } from '../catalog/users/password-queue.ts'
import { knownAsker } from '../catalog/users/password-queue.ts'

export interface Origin extends Asker {
  /** Of the other end of the connection; what a proxy says of others is not believed. */
  readonly address: string
  /** How it speaks to us, for the log: `JSON-RPC`, `HTTP Basic`. */
  readonly via: string
  /** Of this server, as the client has reached it; absent where its protocol does not tell. */
  readonly serverUrl?: string
  /**
   * The sender is waiting for its password to be checked, until the returned function is called.
   */
  checking(): () => void
  /**
   * The sender has shown a good session or password.
   * @param user the uuid
   * @throws AppError TOO_BUSY where the user has too many connections
   */
  known(user: string): void
}

/** Of what the server asks itself. */
export const ownOrigin: Origin = {
  ...knownAsker,
  address: '',
  via: '',
  checking: () => () => {},
  known: () => {},
}
