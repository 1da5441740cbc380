// One log line for each call that changes something or was refused to: who, what, on which object,
// and what came of it. Arguments are never shown, they may be secrets.

import { refToUuid } from '../catalog/refs.ts'
import { toAppError } from '../errors.ts'
import type { Identity } from './authenticate.ts'
import type { XenApiContext } from './context.ts'
import type { Wire } from './values.ts'

/** Calls that read, and those that a client makes many times a second while it works. */
const passedOver = /\.get_|^event\.|^task\.set_progress$/

/** In these the first argument may be a secret, and not the object. */
const secretive = /^session\./

export const withAudit = async (
  { log }: Pick<XenApiContext, 'log'>,
  { user }: Identity,
  method: string,
  args: readonly Wire[],
  run: () => Promise<Wire>,
): Promise<Wire> => {
  if (passedOver.test(method)) return run()
  const [subject] = args
  const object = secretive.test(method) ? undefined : uuidIn(subject)
  const tell = (outcome: string, made?: string): void => {
    const line = { user: user.name, method, object: object ?? made, outcome }
    log.info({ audit: line }, 'audit')
  }
  try {
    const result = await run()
    tell('success', uuidIn(result))
    return result
  } catch (error) {
    tell(toAppError(error).code)
    throw error
  }
}

const uuidIn = (wire: Wire | undefined): string | undefined =>
  typeof wire === 'string' ? refToUuid(wire) : undefined
