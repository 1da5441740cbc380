// News that come far too often: the first is told at once, and what follows within the interval
// once, at its end.

interface NewsInterval {
  tell(name: string): void
  /** Nothing is told after this. */
  close(): void
}

/** @param interval in milliseconds, of each name by itself */
export const createNewsInterval = (
  interval: number,
  onNews: (name: string) => void,
): NewsInterval => {
  const waiting = new Map<string, { isNew: boolean; timer: NodeJS.Timeout }>()
  let closed = false
  const tellNow = (name: string): void => {
    const timer = setTimeout(() => {
      const isNew = waiting.get(name)?.isNew === true
      waiting.delete(name)
      if (isNew) tellNow(name)
    }, interval).unref()
    waiting.set(name, { isNew: false, timer })
    onNews(name)
  }
  return {
    tell(name) {
      if (closed) return
      const entry = waiting.get(name)
      if (entry === undefined) tellNow(name)
      else entry.isNew = true
    },
    close() {
      closed = true
      for (const { timer } of waiting.values()) clearTimeout(timer)
      waiting.clear()
    },
  }
}
