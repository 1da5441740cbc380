// Logs: one JSON object a line on stderr, through pino. Secrets are named here and never written. A
// log that cannot be written never stops the server: lines are dropped, and counted.

import { writeSync } from 'node:fs'
import type { Logger } from 'pino'
import pino from 'pino'
import { redactLine } from './redact.ts'

export type { Logger }

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

const secrets = ['password', 'session_id', 'sessionId', 'authorization', 'cookie']

/** Writes lines to a file descriptor, as far as that takes them. */
interface LogSink {
  /** The number of lines that were dropped in all. */
  readonly dropped: number
  write(line: string): void
}

export const createLogger = (level: LogLevel, sink: LogSink): Logger =>
  pino(
    {
      level,
      redact: { paths: secrets.flatMap((name) => [name, `*.${name}`]), remove: true },
      serializers: { error: pino.stdSerializers.err },
      hooks: { streamWrite: redactLine },
    },
    sink,
  )

/**
 * Synchronous: the last lines before an exit are there. The first line that gets through after some
 * were dropped has one before it that tells how many.
 * @param write as `writeSync` of node:fs: the number of bytes written, or a throw (disk full, pipe
 *   closed or full)
 */
export const createLogSink = (write: (bytes: Uint8Array) => number = writeToStderr): LogSink => {
  let dropped = 0
  let told = 0
  /** Of a line that was written in part: without its end the next one would be lost in it. */
  let rest: Uint8Array = new Uint8Array(0)

  /** Writes what is left; false if something remains. */
  const flush = (): boolean => {
    try {
      while (rest.length > 0) rest = rest.subarray(write(rest))
      return true
    } catch {
      return false
    }
  }
  /** False where nothing of the line was written. What was begun is ended later. */
  const tryWrite = (line: string): boolean => {
    if (!flush()) return false
    const bytes = Buffer.from(line)
    rest = bytes
    if (!flush() && rest.length === bytes.length) {
      rest = new Uint8Array(0)
      return false
    }
    return true
  }
  return {
    get dropped() {
      return dropped
    },
    write(line) {
      const untold = dropped - told
      if (untold > 0 && tryWrite(noticeOf(untold))) told = dropped
      if (told < dropped || !tryWrite(line)) dropped += 1
    },
  }
}

const stderr = 2

const writeToStderr = (bytes: Uint8Array): number => writeSync(stderr, bytes)

/** A line as pino writes it. */
const noticeOf = (dropped: number): string => {
  const { warn } = pino.levels.values
  const msg = `${dropped} log lines could not be written`
  const line = { level: warn, time: Date.now(), pid: process.pid, dropped, msg }
  return `${JSON.stringify(line)}\n`
}
