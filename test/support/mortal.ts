// A process that dies, played inside of one that lives: after so many calls nothing that is called
// any more has an effect, not even the cleaning up. Only files are closed, as the system does it.

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/**
 * Members that need no life: the system closes files, and the rest changes nothing outside the
 * process.
 */
const passedOn = new Set<string | symbol>(['close', 'extents', 'on', 'emit', 'setProgress'])

export interface Life {
  readonly isOver: boolean
  /** It ends after so many further calls; 0: now. */
  endAfter(calls: number): void
  /** What was called while it lasted has come to its end. */
  idle(): Promise<void>
  /** `target`, and whatever its members return, as long as the life lasts. */
  lend<T extends object>(target: T): T
}

export const createLife = (): Life => {
  let left = Infinity
  const pending = new Set<Promise<unknown>>()

  const call = (member: () => unknown): unknown => {
    if (left <= 0) return Promise.reject(new Error('the process died'))
    left -= 1
    const result = member()
    if (!(result instanceof Promise)) return result
    const ended: Promise<unknown> = result.finally(() => pending.delete(ended))
    pending.add(ended)
    // A file that was opened dies with the process too.
    return ended.then((value: unknown) =>
      isObject(value) && 'close' in value ? lend(value) : value,
    )
  }

  const lend = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, name): unknown {
        const member: unknown = Reflect.get(object, name)
        if (typeof member !== 'function') return isObject(member) ? lend(member) : member
        const run = (...args: unknown[]): unknown => Reflect.apply(member, object, args)
        return passedOn.has(name) ? run : (...args: unknown[]) => call(() => run(...args))
      },
    })

  return {
    get isOver() {
      return left <= 0
    },
    endAfter: (calls) => void (left = calls),
    async idle() {
      while (pending.size > 0) await Promise.allSettled(pending)
    },
    lend,
  }
}
