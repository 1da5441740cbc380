// What the routes are given by main, and what Node hands them beside Hono's context.

import type { HttpBindings } from '@hono/node-server'
import type { TransferContext } from '../src/transfer/context.ts'
import type { Credentials } from '../src/xenapi/authenticate.ts'
import type { httpPermissions } from '../src/xenapi/roles.ts'

/** Node's own request and response: `c.env.incoming` and `c.env.outgoing`. */
export interface NodeEnvironment {
  Bindings: HttpBindings
}

export interface RouteContext {
  readonly transfer: TransferContext
  /**
   * Who is asking, and whether they may. A denial has its line in the audit already.
   * @returns the name of the user, for the audit
   * @throws AppError SESSION_INVALID, SESSION_AUTHENTICATION_FAILED, RBAC_PERMISSION_DENIED
   */
  readonly authorize: (
    credentials: Credentials,
    permission: keyof typeof httpPermissions,
  ) => Promise<string>
}
