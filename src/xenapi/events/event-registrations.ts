// Who has called event.register: the older way of watching, where the server remembers what each
// session has seen.

import { AppError } from '../../errors.ts'
import type { Subscription } from './event-subscription.ts'
import { createSubscription } from './event-subscription.ts'

/**
 * Of sessions; the user's oldest registration gives way, or that of all, as if it had been taken
 * back.
 */
const MAXIMUM_REGISTRATIONS = 1024
const MAXIMUM_REGISTRATIONS_OF_USER = 256

/** Of one session. */
const MAXIMUM_NAMES = 1024

interface Registration {
  readonly names: ReadonlySet<string>
  readonly subscription: Subscription
  /** Of the last change that the session has been told. */
  position: number
}

interface OwnedRegistration extends Registration {
  readonly userUuid: string
}

export interface Registrations {
  /**
   * Adds names; what is watched is told from `position` on.
   * @param userUuid of the session
   * @throws AppError INVALID_VALUE for more names than a session may watch
   */
  register(sessionRef: string, userUuid: string, names: readonly string[], position: number): void

  /** Harmless for names that are not registered. */
  unregister(sessionRef: string, names: readonly string[]): void

  /** @throws AppError SESSION_NOT_REGISTERED */
  require(sessionRef: string): Registration
}

export const createRegistrations = (): Registrations => {
  const registrations = new Map<string, OwnedRegistration>()
  const makeRoom = (userUuid: string): void => {
    const own = [...registrations].filter(([, registration]) => registration.userUuid === userUuid)
    const isOwn = own.length >= MAXIMUM_REGISTRATIONS_OF_USER
    const [oldest] = isOwn ? own : registrations
    if (isOwn || registrations.size >= MAXIMUM_REGISTRATIONS) registrations.delete(oldest![0])
  }
  const replace = (
    sessionRef: string,
    userUuid: string,
    names: ReadonlySet<string>,
    position: number,
  ): void => {
    registrations.delete(sessionRef)
    if (names.size === 0) return
    makeRoom(userUuid)
    const subscription = createSubscription([...names])
    registrations.set(sessionRef, { names, subscription, position, userUuid })
  }
  return {
    register(sessionRef, userUuid, names, position) {
      const known = registrations.get(sessionRef)
      const all = new Set([...(known?.names ?? []), ...names.map((name) => name.toLowerCase())])
      if (all.size > MAXIMUM_NAMES) {
        const found = `${all.size} names, the limit is ${MAXIMUM_NAMES}`
        const message = `A session may watch ${MAXIMUM_NAMES} classes and objects, not ${all.size}`
        throw new AppError('INVALID_VALUE', ['classes', found], { message })
      }
      replace(sessionRef, userUuid, all, known?.position ?? position)
    },
    unregister(sessionRef, names) {
      const known = registrations.get(sessionRef)
      if (known === undefined) return
      const gone = new Set(names.map((name) => name.toLowerCase()))
      const left = [...known.names].filter((name) => !gone.has(name))
      replace(sessionRef, known.userUuid, new Set(left), known.position)
    },
    require(sessionRef) {
      const registration = registrations.get(sessionRef)
      if (registration === undefined) throw new AppError('SESSION_NOT_REGISTERED', [])
      return registration
    },
  }
}
