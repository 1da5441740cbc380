// Waits with a deadline and a label: a test that hangs says what it waited for.

/** `promise`, or an error that names `label` when the deadline comes first. */
export const within = async <T>(
  label: string,
  promise: Promise<T>,
  milliseconds = 30_000,
): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    const late = new Error(`Waited ${milliseconds} ms in vain for ${label}`)
    timer = setTimeout(() => reject(late), milliseconds)
  })
  try {
    return await Promise.race([promise, deadline])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Asks again and again until `look` gives something other than undefined: for what tells nobody.
 */
export const eventually = <T>(
  label: string,
  look: () => Promise<T | undefined>,
  milliseconds = 30_000,
): Promise<T> => {
  const ending = Date.now() + milliseconds
  const ask = async (): Promise<T> => {
    for (;;) {
      const found = await look()
      if (found !== undefined) return found
      if (Date.now() > ending) throw new Error(`Waited ${milliseconds} ms in vain for ${label}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  return ask()
}
