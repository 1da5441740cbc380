// What a client watches: `*`, classes by name, or single objects as `class/ref`. Names are compared
// without case, and names that diskport does not know match nothing.

import { refToUuid } from '../../refs.ts'

export interface Subscription {
  /** Whether the object is watched. */
  readonly has: (object: { readonly className: string; readonly uuid: string }) => boolean

  /** Whether objects of the class may be watched. */
  touches(className: string): boolean
}

export const createSubscription = (names: readonly string[]): Subscription => {
  const classes = new Set<string>()
  const objects = new Map<string, Set<string>>()
  for (const name of names.map((name) => name.toLowerCase())) {
    const slash = name.indexOf('/')
    if (slash === -1) {
      classes.add(name)
      continue
    }
    const className = name.slice(0, slash)
    const uuid = uuidIn(name.slice(slash + 1))
    const uuids = objects.get(className) ?? new Set()
    objects.set(className, uuids)
    if (uuid !== undefined) uuids.add(uuid)
  }
  const hasClass = (className: string): boolean =>
    classes.has('*') || classes.has(className.toLowerCase())
  return {
    has: ({ className, uuid }) =>
      hasClass(className) || objects.get(className.toLowerCase())?.has(uuid) === true,
    touches: (className) => hasClass(className) || objects.has(className.toLowerCase()),
  }
}

/** In a reference in lower case. */
const uuidIn = (ref: string): string | undefined => refToUuid(ref.replace(/^opaqueref:/, ''))
