// Who has called event.register: the older way of watching, where the server remembers what each
// session has seen.

import { AppError } from '../errors.ts'
import type { Subscription } from './event-subscription.ts'
import { createSubscription } from './event-subscription.ts'

/** Of sessions; the oldest registration gives way, as if it had been taken back. */
const MAXIMUM_REGISTRATIONS = 1024

export interface Registration {
  readonly names: ReadonlySet<string>
  readonly subscription: Subscription
  /** Of the last change that the session has been told. */
  position: number
}

export interface Registrations {
  /** Adds names; what is watched is told from `position` on. */
  register(sessionRef: string, names: readonly string[], position: number): void

  /** Harmless for names that are not registered. */
  unregister(sessionRef: string, names: readonly string[]): void

  /** @throws AppError SESSION_NOT_REGISTERED */
  require(sessionRef: string): Registration
}

export const createRegistrations = (): Registrations => {
  const registrations = new Map<string, Registration>()
  const replace = (sessionRef: string, names: ReadonlySet<string>, position: number): void => {
    registrations.delete(sessionRef)
    if (names.size === 0) return
    const [oldest] = registrations.keys()
    if (registrations.size >= MAXIMUM_REGISTRATIONS && oldest !== undefined) {
      registrations.delete(oldest)
    }
    const subscription = createSubscription([...names])
    registrations.set(sessionRef, { names, subscription, position })
  }
  return {
    register(sessionRef, names, position) {
      const known = registrations.get(sessionRef)
      const all = new Set([...(known?.names ?? []), ...names.map((name) => name.toLowerCase())])
      replace(sessionRef, all, known?.position ?? position)
    },
    unregister(sessionRef, names) {
      const known = registrations.get(sessionRef)
      if (known === undefined) return
      const gone = new Set(names.map((name) => name.toLowerCase()))
      const left = [...known.names].filter((name) => !gone.has(name))
      replace(sessionRef, new Set(left), known.position)
    },
    require(sessionRef) {
      const registration = registrations.get(sessionRef)
      if (registration === undefined) throw new AppError('SESSION_NOT_REGISTERED', [])
      return registration
    },
  }
}
