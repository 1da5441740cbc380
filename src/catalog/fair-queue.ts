// A bounded queue that is fair between groups, groups within these, and so on: each group has its turn, however
// many wait in another. Knows nothing of what waits. password-queue.ts uses it.

export interface FairQueue<T> {
  /**
   * @param path from the widest group to the narrowest; of one length in a queue
   * @returns what must leave because the queue or its group is full: the newest of the longest group, which may be `item`
   */
  add(path: readonly string[], item: T): T | undefined
  /** The next: of each group in turn, and in the narrowest the oldest. */
  take(): T | undefined
}

interface Limits {
  /** Of all that may wait. */
  readonly maximum: number
  /** Of one of the widest groups. */
  readonly maximumOfGroup: number
}

interface Group<T> {
  /** How many wait in it and below. */
  count: number
  /** Whose turn is next comes first. */
  readonly groups: Map<string, Group<T>>
  /** In the narrowest only. */
  readonly items: T[]
}

const createGroup = <T>(): Group<T> => ({ count: 0, groups: new Map(), items: [] })

export const createFairQueue = <T>({ maximum, maximumOfGroup }: Limits): FairQueue<T> => {
  const all = createGroup<T>()
  return {
    add(path, item) {
      put(all, path, item)
      if (all.count > maximum) return dropNewest(all)
      const [name = ''] = path
      const group = all.groups.get(name)!
      if (group.count <= maximumOfGroup) return undefined
      all.count -= 1
      return dropNewest(group)
    },
    take: () => takeNext(all),
  }
}

const put = <T>(group: Group<T>, [name, ...rest]: readonly string[], item: T): void => {
  group.count += 1
  if (name === undefined) {
    group.items.push(item)
    return
  }
  const below = group.groups.get(name) ?? createGroup()
  group.groups.set(name, below)
  put(below, rest, item)
}

const takeNext = <T>(group: Group<T>): T | undefined => {
  if (group.count === 0) return undefined
  group.count -= 1
  const [first] = group.groups
  if (first === undefined) return group.items.shift()
  const [name, below] = first
  const item = takeNext(below)
  group.groups.delete(name)
  if (below.count > 0) group.groups.set(name, below)
  return item
}

const dropNewest = <T>(group: Group<T>): T | undefined => {
  group.count -= 1
  let longest: readonly [string, Group<T>] | undefined
  // Of groups as long as each other the last one: it has the longest to wait anyway.
  for (const entry of group.groups) {
    if (longest === undefined || entry[1].count >= longest[1].count) longest = entry
  }
  if (longest === undefined) return group.items.pop()
  const [name, below] = longest
  const item = dropNewest(below)
  if (below.count === 0) group.groups.delete(name)
  return item
}
