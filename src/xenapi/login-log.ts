// Lines of the log about logins that failed. Never shows a password; a name is shown as far as it
// can do no harm.

/** What the lines are written to. A pino logger fits. */
export interface LoginLog {
  warn(fields: object, message: string): void
}

interface Sender {
  readonly address: string
  readonly via: string
}

interface FailedLogin extends Sender {
  /** As it was sent. */
  readonly user: string
  /**
   * How many showed the same password while it was worked out; address and way are those of the
   * first.
   */
  readonly attempts: number
}

interface FailedLogins {
  /** A line for each password that was worked out; to be called once for all who showed it. */
  failed(login: FailedLogin): void
  /** Costs nothing, so lines are sparing: one a minute, with how many there were. */
  refused(sender: Sender): void
}

const SHOWN_LENGTH = 128

/** Between lines about logins that found no room, in milliseconds. */
const SILENCE = 60_000

export const createFailedLogins = (log: LoginLog, now: () => number): FailedLogins => {
  let refusals = 0
  let silentUntil = 0
  return {
    failed: (login) =>
      log.warn({ login: { ...login, user: shownName(login.user) } }, 'a login failed'),
    refused({ address, via }) {
      refusals += 1
      if (now() < silentUntil) return
      log.warn({ login: { address, via, refusals } }, 'logins were refused: too many wait')
      refusals = 0
      silentUntil = now() + SILENCE
    },
  }
}

/** Cut where it is long; characters that move a cursor, or cannot be seen, as their numbers. */
const shownName = (name: string): string => {
  const shown = name.slice(0, SHOWN_LENGTH).replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0)!.toString(16)
    return `\\u{${code}}`
  })
  return name.length > SHOWN_LENGTH ? `${shown}…` : shown
}
