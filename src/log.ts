// Logs: one JSON object a line on stderr, through pino. Secrets are named here and never written.

import type { Logger } from 'pino'
import pino from 'pino'
import { redactLine } from './redact.ts'

export type { Logger }

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

const secrets = ['password', 'session_id', 'sessionId', 'authorization', 'cookie']

export const createLogger = (level: LogLevel): Logger =>
  pino(
    {
      level,
      redact: { paths: secrets.flatMap((name) => [name, `*.${name}`]), remove: true },
      serializers: { error: pino.stdSerializers.err },
      hooks: { streamWrite: redactLine },
    },
    // Synchronous: the last lines before an exit are there.
    pino.destination({ dest: 2, sync: true }),
  )
