// Numbers in columns.

import { median } from './measure.ts'

export type Row = readonly string[]

/** The first column to the left, the others to the right. */
export const formatTable = (head: Row, rows: readonly Row[]): string => {
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? '').length)),
  )
  const line = (row: Row): string =>
    widths
      .map((width, column) => {
        const cell = row[column] ?? ''
        return column === 0 ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')
      .trimEnd()
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)]
    .map((text) => `${text}\n`)
    .join('')
}

/** Millions of bytes a second. */
export const rate = (bytes: number, seconds: number | undefined): string =>
  seconds === undefined ? '-' : (bytes / 1e6 / seconds).toFixed(0)

/** The median of ratios, with the lowest and the highest. */
export const ratio = (values: readonly number[]): string => {
  const middle = median(values)
  if (middle === undefined) return '-'
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return `${middle.toFixed(2)} x (${low.toFixed(2)}-${high.toFixed(2)})`
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`
