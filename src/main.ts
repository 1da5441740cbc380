#!/usr/bin/env -S node --max-semi-space-size=1
// The only wiring: settings → catalog → storage → transfers → routes → listen, and the way back on SIGTERM.
// The flag: what comes over a socket lies outside V8's heap and is freed with its young generation; one
// that grows under load holds 50 MB more of it.

import { readInvocation } from './config.ts'
import { toAppError } from './errors.ts'
import { startServer } from './server.ts'

/** Exit codes of sysexits.h: wrong usage, and a server that could not start. */
const EX_USAGE = 64
const EX_UNAVAILABLE = 69

const invocation = readInvocation(process.argv.slice(2), process.env)

const fail = (lines: readonly string[], exitCode: number): void => {
  process.stderr.write(`${lines.map((line) => `diskport: ${line}`).join('\n')}\n`)
  process.exitCode = exitCode
}

if (invocation.kind === 'show') {
  process.stdout.write(`${invocation.text}\n`)
} else if (invocation.kind === 'wrong') {
  fail(invocation.problems, EX_USAGE)
} else {
  try {
    const server = await startServer(invocation.config)
    if (server.generatedPassword !== undefined) {
      process.stderr.write(`The password of the user root is ${server.generatedPassword}\n`)
      process.stderr.write('It is shown only now. Set another with DISKPORT_ROOT_PASSWORD.\n')
    }
    process.stdout.write(`diskport listens on ${server.url}\n`)
    let stopping = false
    const stop = (): void => {
      // Asked twice, somebody is in a hurry.
      if (stopping) process.exit(1)
      stopping = true
      server.stop().catch((error: unknown) => {
        fail([toAppError(error).message], EX_UNAVAILABLE)
      })
    }
    process.on('SIGHUP', () => {
      server.reload().catch((error: unknown) => {
        process.stderr.write(`diskport: ${toAppError(error).message}; the old one stays\n`)
      })
    })
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
  } catch (error) {
    fail([toAppError(error).message], EX_UNAVAILABLE)
  }
}
