// How xe shows what a command found: records with aligned names, plain lines, or one line for
// scripts.

/** One object, field by field; the labels carry the access, as in `uuid ( RO)`. */
export type PrintedRecord = readonly (readonly [label: string, value: string])[]

export interface Printer {
  records(records: readonly PrintedRecord[]): void
  lines(lines: readonly string[]): void
  /** To be called once, after the command. */
  flush(): void
}

/** @param print one call for each piece, to which the client adds a newline */
export const createPrinter = (print: (text: string) => void): Printer => ({
  records: (records) => records.forEach((record) => print(`${formatRecord(record)}\n`)),
  lines: (lines) => lines.forEach(print),
  flush() {},
})

/** `--minimal`: the first field of each record, all in one line, parted by commas. */
export const createMinimalPrinter = (print: (text: string) => void): Printer => {
  const values: string[] = []
  return {
    records: (records) => values.push(...records.flatMap(([first]) => (first ? [first[1]] : []))),
    lines: (lines) => values.push(...lines),
    flush: () => print(values.map(escapeCommas).join(',')),
  }
}

const escapeCommas = (value: string): string => value.replaceAll(/[\\,]/g, (found) => `\\${found}`)

/** The first name stands at the left, the others at the right, four columns beyond the longest. */
const formatRecord = (record: PrintedRecord): string => {
  const width = 4 + Math.max(0, ...record.map(([label]) => label.length))
  return record
    .map(([label, value], index) => {
      const padded = index === 0 ? label.padEnd(width) : label.padStart(width)
      return `${padded}: ${value}\n`
    })
    .join('')
}
