// Whether an error means that the catalog's file cannot be written, for now: its disk is full or
// fails. What is only news then stays in memory. Knows no tables.

import { sqliteCodeOf } from '../errors.ts'

/** SQLite's READONLY, IOERR and FULL. */
const codes: ReadonlySet<number> = new Set([8, 10, 13])

export const isUnwritable = (error: unknown): boolean => codes.has(sqliteCodeOf(error) ?? -1)
