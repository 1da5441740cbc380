// Counts what a piece of code does to strings: each character that is looked at, and each that is
// handed to something that may look at all of them. So work that grows with the square of a text
// shows without a clock.

const searching = [
  'trim',
  'trimEnd',
  'trimStart',
  'indexOf',
  'includes',
  'split',
  'replace',
  'replaceAll',
  'match',
  'isWellFormed',
] as const

/** What looks at a few characters, wherever they stand. */
const reading = ['charCodeAt', 'codePointAt', 'slice', 'startsWith', 'substring'] as const

/** Steps of what `run` does before its promise settles, all else that runs meanwhile included. */
export const countSteps = async (run: () => Promise<unknown>): Promise<number> => {
  let steps = 0
  const undo: (() => void)[] = []
  const watch = <T extends object>(
    owner: T,
    name: keyof T & string,
    weigh: (self: unknown, args: unknown[]) => number,
  ): void => {
    const original = owner[name] as (...args: unknown[]) => unknown
    undo.push(() => void (owner[name] = original as T[typeof name]))
    const counting = function (this: unknown, ...args: unknown[]): unknown {
      steps += weigh(this, args)
      return Reflect.apply(original, this, args)
    }
    owner[name] = counting as T[typeof name]
  }
  for (const name of searching) watch(String.prototype, name, (self) => String(self).length)
  for (const name of reading) watch(String.prototype, name, () => 1)
  for (const name of ['exec', 'test'] as const) {
    watch(RegExp.prototype, name, (_self, [text]) => String(text).length)
  }
  try {
    await run()
  } finally {
    for (const restore of undo) restore()
  }
  return steps
}
