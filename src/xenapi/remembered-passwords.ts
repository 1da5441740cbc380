// Passwords that were right a short time ago, so that they need not be worked out again; as long as
// they are in use they stay. authenticate.ts asks it, and checks that the password is still the
// user's.

import { createHmac, randomBytes } from 'node:crypto'

interface RememberedPasswords {
  /** Stands for a name and a password, and tells neither. */
  markOf(name: string, password: string): string
  /** The hash that the catalog had for it, which was used now; undefined for an unknown mark. */
  find(mark: string): string | undefined
  add(mark: string, passwordHash: string): void
  forget(mark: string): void
}

/** How long an unused password is remembered, in milliseconds. */
const MAXIMUM_IDLE = 5 * 60_000

/** At a time; the one that was used longest ago goes first. */
const MAXIMUM_COUNT = 256

export const createRememberedPasswords = (now: () => number): RememberedPasswords => {
  /** Those used last come last. */
  const remembered = new Map<string, { readonly passwordHash: string; readonly until: number }>()
  // A copy of the memory does not tell the passwords without guessing each with this key.
  const key = randomBytes(32)
  const add = (mark: string, passwordHash: string): void => {
    remembered.delete(mark)
    const [oldest] = remembered.keys()
    if (remembered.size >= MAXIMUM_COUNT && oldest !== undefined) remembered.delete(oldest)
    remembered.set(mark, { passwordHash, until: now() + MAXIMUM_IDLE })
  }
  return {
    markOf: (name, password) =>
      createHmac('sha256', key)
        .update(JSON.stringify([name, password]))
        .digest('base64'),
    find(mark) {
      const found = remembered.get(mark)
      if (found === undefined || found.until <= now()) {
        remembered.delete(mark)
        return undefined
      }
      add(mark, found.passwordHash)
      return found.passwordHash
    },
    add,
    forget: (mark) => void remembered.delete(mark),
  }
}
