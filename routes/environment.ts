// What the routes are given by main, and what Node hands them beside Hono's context.

import type { HttpBindings } from '@hono/node-server'
import type { Socket } from 'node:net'
import type { OperationContext } from '../src/operations/context.ts'
import type { Credentials, Identity } from '../src/xenapi/authenticate.ts'
import type { httpPermissions } from '../src/xenapi/roles.ts'

/** Node's own request and response: `c.env.incoming` and `c.env.outgoing`. */
export interface NodeEnvironment {
  Bindings: HttpBindings
}

export interface RouteContext {
  readonly operations: OperationContext
  /** How long a client may take or send nothing in the middle of a transfer, in milliseconds. */
  readonly stallTimeout: number
  /**
   * Who is asking, on that connection.
   * @throws AppError as Authenticate of src/xenapi/authenticate.ts
   */
  readonly authenticate: (credentials: Credentials, socket?: Socket) => Promise<Identity>
  /**
   * A denial is audited before it is thrown.
   * @throws AppError RBAC_PERMISSION_DENIED
   */
  readonly requirePermission: (identity: Identity, permission: keyof typeof httpPermissions) => void
}
