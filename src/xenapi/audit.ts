// One log line for each transfer, and for each call that changes something or was refused to: who,
// what, on which object, and what came of it. Arguments are never shown, they may be secrets.

import type { Catalog } from '../catalog/catalog.ts'
import { refToUuid, toRef } from '../refs.ts'
import { toAppError } from '../errors.ts'
import { shortenUuid } from '../redact.ts'
import type { Identity } from './authenticate.ts'
import type { XenApiContext } from './context.ts'
import type { Wire } from './wire/values.ts'

/** Calls that read, and those that a client makes many times a second while it works. */
const passedOver = /\.get_|^event\.|^task\.set_progress$/

/** In these the first argument may be a secret, and not the object. */
const secretive = /^session\./

type AuditContext = Pick<XenApiContext, 'log' | 'catalog'>

export const withAudit = async (
  context: AuditContext,
  { user }: Identity,
  method: string,
  args: readonly Wire[],
  run: () => Promise<Wire>,
): Promise<Wire> => {
  if (passedOver.test(method)) return run()
  const object = secretive.test(method) ? undefined : uuidIn(args[0])
  return withAuditLine(context, { user: user.name, method, object }, run, uuidIn)
}

interface AuditLine {
  readonly user: string
  /** Of a call its name, of a transfer its permission. */
  readonly method: string
  /** The uuid of what is changed or read. */
  readonly object: string | undefined
}

/**
 * Runs `run` and logs the outcome.
 * @param madeOf the uuid of what was made, for lines without an object
 */
export const withAuditLine = async <T>(
  { log, catalog }: AuditContext,
  line: AuditLine,
  run: () => Promise<T>,
  madeOf: (result: T) => string | undefined,
): Promise<T> => {
  const tell = (outcome: string, object = line.object): void =>
    log.info({ audit: { ...line, object, outcome } }, 'audit')
  try {
    const result = await run()
    tell('success', line.object ?? madeOf(result))
    return result
  } catch (error) {
    tell(toAppError(error).code, await shownObject(catalog, line.object))
    throw error
  }
}

/** The secret of a session or a move that is passed in place of an object must not be logged. */
const shownObject = async (
  { sessions, incomingMoves }: Pick<Catalog, 'sessions' | 'incomingMoves'>,
  object: string | undefined,
): Promise<string | undefined> => {
  if (object === undefined) return undefined
  // In doubt it is one.
  const isSecret = async (): Promise<boolean> =>
    (await sessions.isLive(toRef(object))) || incomingMoves.isSecret(toRef(object))
  return (await isSecret().catch(() => true)) ? shortenUuid(object) : object
}

const uuidIn = (wire: Wire | undefined): string | undefined =>
  typeof wire === 'string' ? refToUuid(wire) : undefined
