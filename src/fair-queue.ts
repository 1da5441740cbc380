// A bounded queue that is fair between groups, groups within these, and so on: each group has its
// turn, however many wait in another. Knows nothing of what waits. password-queue.ts uses it.

export interface FairQueue<T> {
  /**
   * @param path from the widest group to the narrowest; of one length in a queue
   * @returns what must leave because the queue or its group is full: the newest of the longest
   *   group. If other groups are as long as that of `item`, it is taken from one of those.
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
  /** The number of items in it and below it. */
  count: number
  /** In the order of their turns. */
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
      if (all.count > maximum) return dropNewest(all, path)
      const [name = '', ...rest] = path
      const group = all.groups.get(name)!
      if (group.count <= maximumOfGroup) return undefined
      all.count -= 1
      return dropNewest(group, rest)
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

/** @param path where the newcomer is in `group`; absent where it is in another */
const dropNewest = <T>(group: Group<T>, path?: readonly string[]): T | undefined => {
  group.count -= 1
  const [newcomer, ...rest] = path ?? []
  const name = longestOf(group.groups, newcomer)
  if (name === undefined) return group.items.pop()
  const below = group.groups.get(name)!
  const item = dropNewest(below, name === newcomer ? rest : undefined)
  if (below.count === 0) group.groups.delete(name)
  return item
}

/**
 * The longest group. If several are equally long, the last one; if the newcomer's is among them,
 * the middle one of the others.
 */
const longestOf = <T>(
  groups: ReadonlyMap<string, Group<T>>,
  newcomer: string | undefined,
): string | undefined => {
  let length = 0
  let longest: string[] = []
  for (const [name, { count }] of groups) {
    if (count > length) longest = []
    length = Math.max(length, count)
    if (count === length) longest.push(name)
  }
  const others = longest.filter((name) => name !== newcomer)
  if (others.length === longest.length || others.length === 0) return longest.at(-1)
  // Neither the group that has waited longest nor the newest gives way to the newcomer.
  return others[Math.floor(others.length / 2)]
}
