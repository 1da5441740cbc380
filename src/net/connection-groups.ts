// Connections of one kind, counted in groups and in all. connections.ts says what the groups are,
// and closes what is too much.

interface ConnectionGroups<T> {
  /** Harmless for one that is there already. */
  add(group: string, connection: T): void
  delete(group: string, connection: T): void
  sizeOf(group: string): number
  /**
   * The oldest of the group if that has too many; otherwise, if there are too many in all, of the
   * largest group.
   */
  tooMany(group: string): T | undefined
}

interface GroupLimits {
  readonly all: number
  readonly group: number
}

export const createConnectionGroups = <T>({ all, group }: GroupLimits): ConnectionGroups<T> => {
  /** The oldest first. */
  const groups = new Map<string, Set<T>>()
  let total = 0
  const sizeOf = (name: string): number => groups.get(name)?.size ?? 0
  return {
    sizeOf,
    add(name, connection) {
      const members = groups.get(name) ?? new Set()
      if (members.has(connection)) return
      groups.set(name, members.add(connection))
      total += 1
    },
    delete(name, connection) {
      const members = groups.get(name)
      if (members?.delete(connection) !== true) return
      total -= 1
      if (members.size === 0) groups.delete(name)
    },
    tooMany(name) {
      if (sizeOf(name) > group) return firstOf(groups.get(name)!)
      return total > all ? firstOf(largest(groups.values())) : undefined
    },
  }
}

const firstOf = <T>(set: ReadonlySet<T>): T | undefined => {
  const [first] = set
  return first
}

const largest = <T>(sets: Iterable<ReadonlySet<T>>): ReadonlySet<T> => {
  let found: ReadonlySet<T> = new Set()
  for (const set of sets) if (set.size > found.size) found = set
  return found
}
