// The bar of `--progress`, as xe draws it: 80 columns, a spinner, the percentage and the time that
// is left.
//
//   [*] ####################>                                 45% ETA 00:00:12

const width = 80
const prefix = '[*] '
const suffix = '  (   % ETA   :  :  )'
const spinner = ['-', '\\', '|', '/'] as const

/** Columns for the bar itself. */
const room = width - prefix.length - suffix.length

interface ProgressBar {
  /**
   * The line to draw, or undefined while it would look the same.
   * @param fraction of the work, 0 to 1
   */
  update(fraction: number): string | undefined
  /** The last line: how long it took. */
  summary(): string
}

/** @param now milliseconds of any clock */
export const createProgressBar = (now: () => number = () => performance.now()): ProgressBar => {
  const started = now()
  let drawn = 0
  let turn = 0
  return {
    update(fraction) {
      const done = Math.min(1, Math.max(0, fraction))
      const columns = Math.floor(done * room)
      if (columns === drawn) return undefined
      drawn = columns
      const sign = spinner[turn % spinner.length] ?? '*'
      turn += 1
      const bar = `${'#'.repeat(Math.max(0, columns - 1))}>`.padEnd(room)
      const percent = String(Math.floor(done * 100)).padStart(3)
      const left = ((now() - started) / 1000) * (1 / done - 1)
      return `[${sign}] ${bar}  (${percent}% ETA ${formatTime(left)})`.padEnd(width)
    },
    summary: () => `Total time: ${((now() - started) / 1000).toFixed(1)} s\n`,
  }
}

/** `HH:MM:SS`; what does not fit shows hours and minutes, or that it is long. */
const formatTime = (seconds: number): string => {
  const whole = Math.floor(seconds)
  const two = (value: number): string => String(value).padStart(2, '0')
  const hours = Math.floor(whole / 3600)
  const minutes = two(Math.floor(whole / 60) % 60)
  if (hours <= 99) return `${two(hours)}:${minutes}:${two(whole % 60)}`
  return hours <= 99_999 ? `${String(hours).padStart(5, '0')}:${minutes}` : '++:++:++'
}
