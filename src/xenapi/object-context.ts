// What the objects of the API are made of.

import type { OperationContext } from '../operations/context.ts'
import type { Authenticate } from './authenticate.ts'

export interface ObjectContext extends OperationContext {
  readonly authenticate: Authenticate

  /** Of diskport: `0.1.0`. */
  readonly version: string
}
